"""Asking all acceptors at once, and hearing them as they answer.

Where a connection is idle, the caller's thread sends and waits itself, for all of them in one poll:
handing calls to threads takes longer than the acceptors do. Whatever may take several steps, as
connecting does, is done in a thread.
"""

import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Generic, Self, TypeVar

from coordination.consensus.bell import Bell
from coordination.consensus.store import Acceptor, Begun
from coordination.consensus.types import Reply
from coordination.exceptions import CoordinationError, StoreUnavailable
from coordination.threads import Threads

CALLS_AT_ONCE = 32
"""To one acceptor, from this process: one that is frozen holds up its own threads alone."""

T = TypeVar("T")
Call = Callable[[Acceptor, int], T]
Begin = Callable[[Acceptor, Callable[[], None]], Begun | None]
_threads = Threads("consensus", of_each=CALLS_AT_ONCE)


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What came of one acceptor."""

    alias: str
    said: T | CoordinationError


class Asked(Generic[T]):
    """What `call(acceptor, deadline in ms)` returns or raises, each as it comes.

    Whoever stops listening leaves the rest under way: messages that nobody waits for.
    """

    def __init__(self, acceptors: Sequence[Acceptor], call: Call[T], *, until: float) -> None:
        self.until = until
        """Monotonic seconds at which nobody listens any more; may be brought forward."""
        self._call = call
        self._heard: SimpleQueue[Answer[T]] = SimpleQueue()
        self._bell = Bell()
        self._in_threads = 0
        self._ask_all(acceptors)

    def _ask_all(self, acceptors: Sequence[Acceptor]) -> None:
        for acceptor in acceptors:
            self._hand_over(acceptor)

    def _hand_over(self, acceptor: Acceptor) -> None:
        """Let a thread make the call."""
        self._in_threads += 1
        heard, ring = self._heard, self._bell.ring
        telling = partial(_tell, heard, ring, acceptor, self._call, self.until)
        _threads.submit(telling, store=_Dated(acceptor.alias))

    def __iter__(self) -> Iterator[Answer[T]]:
        while self._in_threads:
            try:
                answer = self._heard.get(timeout=max(0.0, self.until - time.monotonic()))
            except Empty:
                return
            self._in_threads -= 1
            yield answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bell.close()


class Sent(Asked[list[Reply]]):
    """As `Asked`, of messages that `begin(acceptor, ring)` may send by itself.

    It has to be left as a block: connections whose answer nobody waits for are looked after then.
    """

    def __init__(
        self,
        acceptors: Sequence[Acceptor],
        call: Call[list[Reply]],
        *,
        begin: Begin,
        is_behind: Callable[[list[Reply]], bool],
        until: float,
    ) -> None:
        """Where `is_behind` of what was begun, the call is made after all."""
        self._begin = begin
        self._is_behind = is_behind
        self._under_way: dict[str, tuple[Acceptor, Begun]] = {}
        try:
            super().__init__(acceptors, call, until=until)
        except BaseException:
            # A signal's exception, between the first message and the last.
            self._leave_all()
            raise

    def _ask_all(self, acceptors: Sequence[Acceptor]) -> None:
        for acceptor in acceptors:
            begun = self._begin(acceptor, self._bell.ring)
            if begun is None:
                self._hand_over(acceptor)
            else:
                self._under_way[acceptor.alias] = (acceptor, begun)

    def __iter__(self) -> Iterator[Answer[list[Reply]]]:
        while self._under_way or self._in_threads:
            is_late = self.until <= time.monotonic()
            came = self._wait()
            for alias, (acceptor, begun) in list(self._under_way.items()):
                if begun.fileno() in came and begun.advance():
                    del self._under_way[alias]
                    yield from self._answered(acceptor, begun)
            while self._in_threads:
                try:
                    answer = self._heard.get_nowait()
                except Empty:
                    break
                self._in_threads -= 1
                yield answer
            if not came and is_late:
                return

    def _wait(self) -> set[int]:
        """Until something has come, or the time is up; -1 stands for what the bell is rung for."""
        poll = select.poll()
        bell = -1
        if self._in_threads or any(each.fileno() < 0 for _, each in self._under_way.values()):
            bell = self._bell.fileno()
            poll.register(bell, select.POLLIN)
        for _, begun in self._under_way.values():
            if (number := begun.fileno()) >= 0:
                wanted = select.POLLIN | (select.POLLOUT if begun.is_unsent else 0)
                poll.register(number, wanted)
        left_ms = max(0.0, self.until - time.monotonic()) * 1000
        came = {number for number, _ in poll.poll(left_ms)}
        if bell in came:
            came.add(-1)
            self._bell.silence()
        return came

    def _answered(self, acceptor: Acceptor, begun: Begun) -> Iterator[Answer[list[Reply]]]:
        try:
            replies = begun.replies()
        except CoordinationError as error:
            yield Answer(acceptor.alias, error)
            return
        if replies is None or self._is_behind(replies):
            self._hand_over(acceptor)
        else:
            yield Answer(acceptor.alias, replies)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        self._leave_all()

    def _leave_all(self) -> None:
        for _, begun in self._under_way.values():
            begun.leave()
        self._under_way.clear()


def _tell(
    heard: "SimpleQueue[Answer[T]]",
    ring: Callable[[], None],
    acceptor: Acceptor,
    call: Callable[[Acceptor, int], T],
    until: float,
) -> None:
    left_ms = int((until - time.monotonic()) * 1000)
    said: T | CoordinationError
    try:
        if left_ms <= 0:
            # It stood in line behind calls to a server that is frozen, and nobody listens any more.
            raise StoreUnavailable(
                f"Acceptor {acceptor.alias!r}: not asked in time.", store=acceptor.alias
            )
        said = call(acceptor, left_ms)
    except CoordinationError as error:
        said = error
    except Exception as error:  # noqa: BLE001  told to the caller, who else would wait for it
        said = CoordinationError(f"Acceptor {acceptor.alias!r}: {error!r}", store=acceptor.alias)
        said.__cause__ = error
        said.applied = None
    heard.put(Answer(acceptor.alias, said))
    ring()


@dataclass(slots=True)
class _Dated:
    """What names the threads of an acceptor."""

    alias: str
    deadline_ms: int = 0


def reasons(faults: Mapping[str, str]) -> str:
    """Of each acceptor why it does not count, in words."""
    return "; ".join(f"{alias}: {why}" for alias, why in sorted(faults.items())) or "no answer"
