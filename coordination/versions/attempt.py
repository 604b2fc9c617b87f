"""One attempt: read, let the body run, and write only if nobody else has meanwhile."""

import json
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from enum import Enum, auto
from types import TracebackType
from typing import Any, Self

from coordination.exceptions import ConflictError, InvalidArgument
from coordination.kernel.arguments import json_value
from coordination.versions.store import VersionStore
from coordination.versions.types import VALUE_BYTES_MAX, Conflicted, Seen

_inside: ContextVar[frozenset[tuple[str, str]]] = ContextVar(
    "concord_attempts", default=frozenset()
)
"""Stores and names that an attempt is under way on, around the code that runs now."""


class Stage(Enum):
    """How far an attempt is."""

    NEW = auto()
    OPEN = auto()
    SUCCEEDED = auto()
    CONFLICTED = auto()
    FAILED = auto()


class Attempt:
    """What `with attempt as a` gives: the value that was read, and how to write the next one."""

    def __init__(self, store: VersionStore, name: str, *, number: int, last: bool) -> None:
        self.name = name
        self.number = number
        """From 1."""
        self.stage = Stage.NEW
        self._store = store
        self._last = last
        self._seen: Seen | None = None
        self._value: Any = None
        self._next: str | None = None
        self._block: AbstractContextManager[None] | None = None

    @property
    def value(self) -> Any:
        """As it was read, None when nobody has written it; `set` does not change it."""
        self._require_open("value")
        return self._value

    @property
    def version(self) -> int:
        """How often it was written when it was read; 0 when never."""
        self._require_open("version")
        assert self._seen is not None
        return self._seen.version

    @property
    def succeeded(self) -> bool:
        """Whether it ended, and what it wrote stands."""
        return self.stage is Stage.SUCCEEDED

    def set(self, value: Any) -> None:
        """Have this JSON value written at the end of the block; the last call counts.

        Raises InvalidArgument for what JSON cannot carry or is larger than 256 KiB.
        """
        self._require_open("set()")
        what = f"optimistic {self.name!r}"
        self._next = json_value(value, what=what, bytes_max=VALUE_BYTES_MAX)

    def expire(self) -> None:
        """The loop has gone on: it may not be entered any more."""
        if self.stage is Stage.NEW:
            self.stage = Stage.FAILED

    def __enter__(self) -> Self:
        if self.stage is not Stage.NEW:
            raise InvalidArgument(
                f"This attempt on optimistic {self.name!r} is over: each turn of the loop has its "
                "own.",
                name=self.name,
            )
        self._block = self._surrounded()
        self._block.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        assert self._block is not None
        try:
            swallowed = self._block.__exit__(kind, error, trace)
        except Conflicted as conflict:
            self.stage = Stage.CONFLICTED
            if self._last:
                raise self._error(conflict) from conflict.__cause__
            return True
        self.stage = Stage.SUCCEEDED if error is None else Stage.FAILED
        return bool(swallowed)

    @contextmanager
    def _surrounded(self) -> Iterator[None]:
        mine = (self._store.alias, self.name)
        outer = _inside.get()
        if mine in outer:
            raise InvalidArgument(
                f"An attempt on optimistic {self.name!r} is under way around this one: the outer "
                "one could only fail.",
                name=self.name,
            )
        reset = _inside.set(outer | {mine})
        self.stage = Stage.OPEN
        try:
            with self._store.block():
                self._last = self._last or not self._store.may_see_newer()
                self._seen = self._store.read(self.name)
                self._value = json.loads(self._seen.value)
                yield from self._judged()
        except BaseException:
            self.stage = Stage.FAILED
            raise
        finally:
            _inside.reset(reset)

    def _judged(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if self._store.is_conflict(error):
                raise Conflicted from error
            raise
        assert self._seen is not None
        if self._next is None:
            stands = self._store.stands(self.name, self._seen)
        else:
            call = secrets.token_hex(12)
            stands = self._store.write(self.name, self._seen, self._next, call=call)
        if not stands:
            raise Conflicted

    def _require_open(self, what: str) -> None:
        if self.stage is not Stage.OPEN:
            raise InvalidArgument(
                f"{what} of an attempt on optimistic {self.name!r} is for within its block: "
                "`with attempt as a:`.",
                name=self.name,
            )

    def _error(self, conflict: Conflicted) -> ConflictError:
        reason = "somebody else wrote it" if conflict.__cause__ is None else str(conflict.__cause__)
        times = "1 attempt" if self.number == 1 else f"{self.number} attempts"
        return ConflictError(
            f"Optimistic {self.name!r} met a change by others in {times}; nothing was written.",
            name=self.name,
            store=self._store.alias,
            reason=reason,
        )

    def __repr__(self) -> str:
        return f"<Attempt {self.number} on {self.name}: {self.stage.name.lower()}>"
