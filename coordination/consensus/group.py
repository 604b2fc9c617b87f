"""`register_group`: registers of one period and one opening, written and read many at a time."""

from collections.abc import Iterable, Mapping

from coordination.consensus.answers import Answer
from coordination.consensus.naming import default_kind, refuse_reserved
from coordination.consensus.stores import registers_of
from coordination.consensus.types import KEPT, Register, validate_value
from coordination.exceptions import InvalidArgument

MANY_MAX = 1_000
"""Registers of one call."""


class RegisterGroup:
    """Registers by key. Any thread may use it, and a forked process; every verb ends in time.

    What a server does is told by values: Chosen, Unchosen, Unknown, Forgotten. Bad input raises
    InvalidName or InvalidArgument before anything is sent.
    """

    def __init__(self, *, period: int, opening: str | None, using: str) -> None:
        self.using = using
        self.period = period
        self.opening = opening
        self._registers = registers_of(using)

    def write_many(
        self, values: Mapping[str, str], *, deadline_ms: int | None = None
    ) -> dict[str, Answer]:
        """Of each key the value that it holds for ever: the one given, unless another was first.

        The opening is written in one round trip for all keys, any other value in two.
        """
        refuse_too_many(len(values))
        wishes: dict[Register, str | None] = {}
        for key, value in values.items():
            register = self._register(key)
            wishes[register] = validate_value(value, register=register)
        return self._by_key(self._registers.decide_many(wishes, deadline_ms=deadline_ms))

    def propose(self, key: str, value: str, *, deadline_ms: int | None = None) -> Answer:
        """The value that the key holds for ever, as `write_many`."""
        return self.write_many({key: value}, deadline_ms=deadline_ms)[key]

    def read_many(
        self, keys: Iterable[str], *, deadline_ms: int | None = None
    ) -> dict[str, Answer]:
        """Of each key the value that it holds, or Unchosen; what is half written is finished."""
        wishes: dict[Register, str | None] = {self._register(key): None for key in keys}
        refuse_too_many(len(wishes))
        return self._by_key(self._registers.decide_many(wishes, deadline_ms=deadline_ms))

    def peek_many(
        self, keys: Iterable[str], *, deadline_ms: int | None = None
    ) -> dict[str, Answer]:
        """As `read_many`, but nothing is written: what is half written is Unknown."""
        asked = [self._register(key) for key in dict.fromkeys(keys)]
        refuse_too_many(len(asked))
        return self._by_key(self._registers.peek_many(asked, deadline_ms=deadline_ms))

    def __repr__(self) -> str:
        return f"<RegisterGroup of period {self.period} using {self.using}>"

    def _register(self, key: str) -> Register:
        return Register(name=refuse_reserved(key), period=self.period, opening=self.opening)

    def _by_key(self, answers: Mapping[Register, Answer]) -> dict[str, Answer]:
        return {register.name: answer for register, answer in answers.items()}


def register_group(
    *, period: int = KEPT, opening: str | None = None, using: str | None = None
) -> RegisterGroup:
    """Registers by key; nothing is sent. The arguments mean what they mean to `register`.

    Raises InvalidArgument, InvalidName, NotSupportedByStore.
    """
    Register(name="any", period=period, opening=opening)
    return RegisterGroup(period=period, opening=opening, using=using or default_kind())


def refuse_too_many(number: int) -> None:
    """Raise InvalidArgument when one call names more registers than may be asked for at once."""
    if number > MANY_MAX:
        raise InvalidArgument(f"{number} registers in one call; at most {MANY_MAX} are allowed.")
