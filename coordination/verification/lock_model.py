"""What a lock with tokens does when it is called by one at a time, and what it guards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from coordination.verification.linearizability import Call


@dataclass(frozen=True, slots=True)
class LockState:
    """Who holds it, the last token given, and the greatest token that has written."""

    holder: int | None = None
    last: int = 0
    written: int = 0


class LockModel:
    """An exclusive lock by lease, and a resource that compares tokens.

    Calls: ``acquire`` (token: what was granted; answer "busy": nothing), ``release`` (token;
    answer "lost": it was not held any more), ``expire`` (token; nobody calls it: it is put into a
    history for every grant, from when its lease could end), ``write`` (token; answer "stale": it
    was refused).
    """

    def initial(self) -> LockState:
        """Free, and never held."""
        return LockState()

    def apply(self, state: LockState, call: Call) -> LockState | None:
        """The state after `call`, or None when it could not have answered so."""
        match call.what, call.answer:
            case "acquire", "ok":
                return _granted(state, call.token)
            case "acquire", "busy":
                return None if state.holder is None else state
            case (("release" | "expire"), "ok"):
                return replace(state, holder=None) if state.holder == call.token else None
            case "release", "lost":
                return None if state.holder == call.token else state
            case "write", answer:
                return _written(state, call.token or 0, accepted=answer == "ok")
        raise ValueError(f"a lock knows no {call.what} that answers {call.answer}")


def _granted(state: LockState, token: int | None) -> LockState | None:
    if state.holder is not None or token is None or token <= state.last:
        return None
    return replace(state, holder=token, last=token)


def _written(state: LockState, token: int, *, accepted: bool) -> LockState | None:
    if accepted != (token >= state.written):
        return None
    return replace(state, written=max(state.written, token))


def with_expiries(history: Sequence[Call], ends: Mapping[int, float]) -> list[Call]:
    """The history, with an end of its lease for each grant that has one.

    `ends` tells by token from when on the lease may have ended; renewals put it off further. An end
    that never came explains nothing, so it does no harm.
    """
    expiries = [
        Call(process="lease", what="expire", token=call.token, began=ends[call.token])
        for call in history
        if call.what == "acquire" and call.token is not None and call.token in ends
    ]
    return [*history, *expiries]
