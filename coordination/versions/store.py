"""What a store of optimistic names can do."""

from contextlib import AbstractContextManager
from typing import Protocol

from coordination.versions.types import Seen


class VersionStore(Protocol):
    """Names with a value and a version, of one store alias.

    Every verb raises StoreUnavailable (not applied) or OutcomeUnknown within the store's deadline.
    """

    alias: str

    def block(self) -> AbstractContextManager[None]:
        """Around one attempt: what goes or stays together with its write.

        Raises Conflicted from its end when the store refuses what others changed, OutcomeUnknown
        when it does not say.
        """

    def may_see_newer(self) -> bool:
        """Asked within a block: whether a later attempt can see what others write meanwhile."""

    def read(self, name: str) -> Seen:
        """The name as it stands."""

    def write(self, name: str, seen: Seen, value: str, *, call: str) -> bool:
        """Write the next version, unless it is no longer as `seen`; False then."""

    def stands(self, name: str, seen: Seen) -> bool:
        """Whether it is still as `seen`."""

    def is_conflict(self, error: BaseException) -> bool:
        """Whether a body that raised this met a change of somebody else, and may run again."""
