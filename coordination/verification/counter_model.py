"""What a counter, which is a compare-and-set register too, does when called by one at a time."""

from dataclasses import dataclass

from coordination.kernel.arguments import INTEGER_MAX
from coordination.verification.linearizability import Call

UNSEEN = "?"
"""The answer of a call whose end nobody saw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterModel:
    """A whole number with bounds.

    Calls: ``add`` (token: the amount; answer: the new value, or "exceeded"), ``set`` (token: the
    value; answers as add), ``get`` (answer: the value), ``compare_and_set 3`` (behind it what was
    expected; token: the new value; answer "written", "mismatch" or "exceeded").
    """

    value: int = 0
    lowest: int = -INTEGER_MAX
    highest: int = INTEGER_MAX

    def initial(self) -> int:
        """The value that nobody wrote."""
        return self.value

    def apply(self, state: int, call: Call) -> int | None:
        """The value after `call`, or None when it could not have answered so."""
        what, _, expected = call.what.partition(" ")
        if what == "get":
            return state if call.answer in (str(state), UNSEEN) else None
        number = call.token or 0
        match what:
            case "add":
                new, said = state + number, str(state + number)
            case "set":
                new, said = number, str(number)
            case "compare_and_set" if state == int(expected):
                new, said = number, "written"
            case "compare_and_set":
                return state if call.answer in ("mismatch", UNSEEN) else None
            case _:
                raise ValueError(f"a counter knows no {call.what}")
        if not self.lowest <= new <= self.highest:
            new, said = state, "exceeded"
        return new if call.answer in (said, UNSEEN) else None
