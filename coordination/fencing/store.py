"""What a store of fenced values can do."""

from typing import Protocol

from coordination.fencing.types import Call, Written


class ValueStore(Protocol):
    """Fenced values of one store alias.

    Every verb raises StoreUnavailable (not applied) or OutcomeUnknown within the store's deadline.
    A write whose reply was lost is asked for again by its `call`, which gets the first answer.
    """

    alias: str

    def read(self, name: str) -> tuple[str | None, int]:
        """The value as JSON, None when there is none, and the token that wrote it, else 0."""

    def write(self, name: str, value: str | None, *, fence: int | None, call: Call) -> Written:
        """Write if no newer token has; None deletes. Without `fence` nothing is compared."""
