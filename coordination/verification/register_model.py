"""What a register that is written once does when called by one at a time."""

from coordination.verification.linearizability import Call

UNSEEN = "?"
"""The answer of a call whose end nobody saw."""
NOTHING = ""
"""The answer of a read of a register that nobody wrote, and that state."""


class RegisterModel:
    """Calls: ``decide yes`` (answer: the value that holds), ``read`` (answer: it, or NOTHING)."""

    def initial(self) -> str:
        """Nobody wrote."""
        return NOTHING

    def apply(self, state: str, call: Call) -> str | None:
        """The value after `call`, or None when it could not have answered so."""
        what, _, value = call.what.partition(" ")
        if what not in ("decide", "read"):
            raise ValueError(f"a register knows no {call.what}")
        after = state or value
        return after if call.answer in (after, UNSEEN) else None
