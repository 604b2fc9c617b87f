"""Registers in one PostgreSQL: a row each, which the first to commit has written.

A call runs on a connection of its own: a decision must not be undone with the caller's transaction.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from coordination.connections.postgresql_pool import CONNECT_MS, DEADLINE_MS, Pool, Row, Value
from coordination.consensus.answers import Answer, Chosen, Unchosen, Unknown
from coordination.consensus.types import Forgotten, Register, forgotten, validate_value
from coordination.exceptions import OutcomeUnknown, StoreUnavailable
from coordination.kernel.settings import StoreSettings
from coordination.locks.repeating import repeated

READ = "SELECT * FROM concord_register_read($1, $2)"
DECIDE = "SELECT * FROM concord_register_decide($1, $2, $3)"
MANY = "SELECT * FROM concord_register_many($1)"
FORGET = "SELECT concord_register_forget($1)"


class PostgresRegisters:
    """Registers of one database store; see `coordination.consensus.store.Registers`."""

    def __init__(self, settings: StoreSettings) -> None:
        limits: Mapping[str, Any] = settings.options
        self.alias = settings.alias
        self.deadline_ms: int = limits.get("deadline_ms", DEADLINE_MS)
        self._pool = Pool(
            settings.using, store=self.alias, connect_ms=limits.get("connect_ms", CONNECT_MS)
        )

    def decide(self, register: Register, value: str, *, deadline_ms: int | None = None) -> str:
        """The value that holds; asked again after a lost reply, which answers the same."""
        wish = validate_value(value, register=register)
        held = self._ask(DECIDE, register, wish, deadline_ms=deadline_ms)
        assert held is not None
        return held

    def read(self, register: Register, *, deadline_ms: int | None = None) -> str | None:
        """The value that holds, or None."""
        return self._ask(READ, register, deadline_ms=deadline_ms)

    def decide_many(
        self, wishes: Mapping[Register, str | None], *, deadline_ms: int | None = None
    ) -> dict[Register, Answer]:
        """All in one transaction, in the order of their keys: two calls never wait for each other's
        rows."""
        for register, wish in wishes.items():
            if wish is not None:
                validate_value(wish, register=register)
        asked = sorted(wishes, key=lambda each: (each.period, each.key))
        told = json.dumps([[each.period, each.key, wishes[each]] for each in asked])
        limit = self.deadline_ms if deadline_ms is None else deadline_ms
        try:
            rows = repeated(
                lambda left_ms: self._pool.run(MANY, (told,), deadline_ms=left_ms),
                deadline_ms=limit,
            )
        except (StoreUnavailable, OutcomeUnknown) as error:
            return {
                each: Unknown(str(error), error.applied is None and wishes[each] is not None)
                for each in asked
            }
        return {each: _answer(row) for each, row in zip(asked, rows, strict=True)}

    def peek_many(
        self, registers: Sequence[Register], *, deadline_ms: int | None = None
    ) -> dict[Register, Answer]:
        """As read: nothing is ever half written."""
        return self.decide_many(dict.fromkeys(registers), deadline_ms=deadline_ms)

    def forget_before(self, period: int, *, deadline_ms: int | None = None) -> None:
        """Forget and refuse the registers of periods below this one."""
        limit = self.deadline_ms if deadline_ms is None else deadline_ms
        self._pool.run(FORGET, (period,), deadline_ms=limit)

    def _ask(self, sql: str, register: Register, *more: str, deadline_ms: int | None) -> str | None:
        params: tuple[Value, ...] = (register.period, register.key, *more)
        limit = self.deadline_ms if deadline_ms is None else deadline_ms
        ((floor, value),) = repeated(
            lambda left_ms: self._pool.run(sql, params, deadline_ms=left_ms), deadline_ms=limit
        )
        if floor is not None:
            raise forgotten(int(floor), register, store=self.alias)
        return value


def _answer(row: Row) -> Answer:
    floor, value = row
    if floor is not None:
        return Forgotten(int(floor))
    return Unchosen() if value is None else Chosen(value)
