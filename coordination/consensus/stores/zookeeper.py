"""Registers in one ZooKeeper: a persistent node each, which the first to create it has written.

<root>/concord/registers                     the floor below which registers are forgotten
<root>/concord/registers/<period>/<n>/<key>  the value

A create whose answer was lost is tried again: either it is found, or it is made now, or somebody
else was first; in each case the node says what holds, so it need not be told who made it.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from coordination.connections.zookeeper import ZooKeeperStore
from coordination.connections.zookeeper_errors import ReplyLost, ZooKeeperRefused
from coordination.connections.zookeeper_requests import Check, Commit, Create, Get, Sync, Write
from coordination.consensus.answers import Answer, answer_of
from coordination.consensus.types import Register, forgotten, validate_value
from coordination.consensus.zookeeper_tree import Tree, make_parents
from coordination.exceptions import OutcomeUnknown, StoreUnavailable

PAUSE_S = 0.02


class ZooKeeperRegisters:
    """Registers of one ZooKeeper; see `coordination.consensus.store.Registers`."""

    def __init__(self, store: ZooKeeperStore) -> None:
        self.alias = store.alias
        self.deadline_ms: int = store.deadline_ms
        self._store = store
        self._top = f"{store.root}/concord/registers"
        self._tree = Tree(self._top)
        self._floor: tuple[int, int] | None = None
        """The floor, and the version of its node."""

    def decide(self, register: Register, value: str, *, deadline_ms: int | None = None) -> str:
        """The value that holds."""
        wish = validate_value(value, register=register)
        held = _Call(self, register, deadline_ms).run(wish)
        assert held is not None
        return held

    def read(self, register: Register, *, deadline_ms: int | None = None) -> str | None:
        """The value that holds, or None."""
        return _Call(self, register, deadline_ms).run(None)

    def decide_many(
        self, wishes: Mapping[Register, str | None], *, deadline_ms: int | None = None
    ) -> dict[Register, Answer]:
        """One after the other, within the one deadline."""
        for register, wish in wishes.items():
            if wish is not None:
                validate_value(wish, register=register)
        limit_ms = self.deadline_ms if deadline_ms is None else deadline_ms
        until = time.monotonic() + limit_ms / 1000

        def answer(register: Register, wish: str | None) -> Answer:
            left_ms = max(1, int((until - time.monotonic()) * 1000))
            return answer_of(register, _Call(self, register, left_ms).run, wish)

        return {register: answer(register, wish) for register, wish in wishes.items()}

    def peek_many(
        self, registers: Sequence[Register], *, deadline_ms: int | None = None
    ) -> dict[Register, Answer]:
        """As read: nothing is ever half written."""
        return self.decide_many(dict.fromkeys(registers), deadline_ms=deadline_ms)

    def forget_before(self, period: int, *, deadline_ms: int | None = None) -> None:
        """Forget and refuse the registers of periods below this one."""
        limit = self.deadline_ms if deadline_ms is None else deadline_ms

        def ask(*requests: Any) -> list[Any]:
            return self._store.ask(*requests, deadline_ms=limit)

        while True:
            self._floor = None
            floor, version = self.floor(limit)
            if floor >= period:
                break
            (done,) = ask(Commit((Write(self._top, str(period).encode(), version),)))
            self._floor = None
            if not isinstance(done, ZooKeeperRefused):
                break
        for old in self._tree.periods(ask):
            if old < period:
                self._tree.remove(old, ask)

    def floor(self, deadline_ms: int) -> tuple[int, int]:
        """The floor and the version of its node, which is made if need be."""
        if (known := self._floor) is not None:
            return known
        while True:
            _, found = self._store.ask(Sync(self._top), Get(self._top), deadline_ms=deadline_ms)
            if not isinstance(found, ZooKeeperRefused):
                data, stat = found
                self._floor = (int(data or b"0"), stat.version)
                return self._floor
            make_parents(f"{self._top}/0", self._store.ask)


class _Call:
    """One call, within its deadline."""

    def __init__(
        self, registers: ZooKeeperRegisters, register: Register, deadline_ms: int | None
    ) -> None:
        limit = registers.deadline_ms if deadline_ms is None else deadline_ms
        self._until = time.monotonic() + limit / 1000
        self._registers = registers
        self._register = register
        self._path = registers._tree.path(register)

    def run(self, wish: str | None) -> str | None:
        """The value that holds: `wish` is written if nothing does."""
        unknown: OutcomeUnknown | None = None
        while True:
            try:
                return self._once(wish)
            except OutcomeUnknown as error:
                unknown = error
            except ReplyLost as error:
                if self._left_ms() <= 0:
                    raise unknown or error from error
            except StoreUnavailable as error:
                # This was not applied; one before it may have been.
                if unknown is None:
                    raise
                if self._left_ms() <= 0:
                    raise unknown from error
            if self._left_ms() <= 0:
                assert unknown is not None
                raise unknown
            time.sleep(PAUSE_S)

    def _once(self, wish: str | None) -> str | None:
        registers = self._registers
        while True:
            floor, version = registers.floor(self._asked_ms())
            if self._register.period < floor:
                raise forgotten(floor, self._register, store=registers.alias)
            check = Check(registers._top, version)
            if wish is not None:
                create = Create(path=self._path, data=wish.encode())
                (made,) = self._ask(Commit((check, create)))
                if not isinstance(made, ZooKeeperRefused):
                    return wish
                if made.word == "NoNode" and made.index == 1:
                    make_parents(self._path, self._ask)
                    continue
            # The check is ordered among all writes, as no read is.
            checked, found = self._ask(Commit((check,)), Get(self._path))
            if isinstance(checked, ZooKeeperRefused):
                registers._floor = None
                continue
            if not isinstance(found, ZooKeeperRefused):
                value: str = found[0].decode()
                return value
            if wish is None:
                return None

    def _ask(self, *requests: Any) -> list[Any]:
        return self._registers._store.ask(*requests, deadline_ms=self._asked_ms())

    def _asked_ms(self) -> int:
        return max(1, self._left_ms())

    def _left_ms(self) -> int:
        return int((self._until - time.monotonic()) * 1000)
