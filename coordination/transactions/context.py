"""What a participant's body is handed: who it works for, how long, and how it answers."""

import time
from dataclasses import dataclass, field
from typing import Any, NoReturn

from celery import Signature, Task

from coordination.exceptions import InvalidArgument
from coordination.kernel.arguments import json_arguments


class VotedNo(Exception):
    """Ends a body whose participant refuses. Raised by `Context.vote_no` alone."""


@dataclass(slots=True, kw_only=True)
class Context:
    """What the body of a participant is told, and how it answers."""

    gid: str
    """The transaction."""
    branch: str
    """This branch's own id: stable over every attempt, so it serves as an idempotency key."""
    remaining_ms: int | None = None
    refusal: str | None = None
    after_decision: bool = False
    """Whether it is a step behind the pivot, whose body runs after the commit is decided."""
    signatures: list[dict[str, Any]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    @property
    def remaining(self) -> float | None:
        """Seconds until the transaction's deadline; None once it is decided."""
        if self.remaining_ms is None:
            return None
        return max(0.0, self.remaining_ms / 1000 - (time.monotonic() - self.started))

    def vote_no(self, reason: str) -> NoReturn:
        """Refuse: the work of this branch is undone and the transaction aborts with `reason`."""
        self.refusal = str(reason)
        raise VotedNo(self.refusal)

    def after_commit(self, signature: "Signature[Any] | Task[..., Any]") -> None:
        """Send a Celery signature once this branch is committed, at least once.

        It is stored with the branch's work, since another process may finish the branch; hence a
        signature and not a function.

        Raises InvalidArgument for anything else, and outside prepare or reserve.
        """
        if self.remaining_ms is None and not self.after_decision:
            raise InvalidArgument("after_commit belongs into prepare or reserve, not into the end.")
        if isinstance(signature, Task):
            signature = signature.si()
        if not isinstance(signature, Signature):
            raise InvalidArgument(
                f"after_commit takes a Celery signature or task, not {type(signature).__name__}: "
                "the branch may be committed by another process, where a function does not exist."
            )
        payload = dict(signature)
        payload.pop("chord_size", None)
        json_arguments(payload, what="the after_commit signature")
        self.signatures.append(payload)
