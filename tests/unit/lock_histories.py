"""Histories of one resource, as a store records them: by hand, and from a simulated lock."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from coordination.kernel.events import Event
from coordination.locks.types import Mode, moment

KEY = "redis lock a"
BEGIN_US = 1_795_000_000_000_000
SECOND = 1_000_000


@dataclass
class History:
    """Builds events in version order; `at` is in seconds after the beginning."""

    key: str = KEY
    events: list[Event] = field(default_factory=list)
    era: int = 0

    def add(self, kind: str, at: float, id_: str, token: int = 0, **data: Any) -> History:
        """Append one event."""
        version = self.events[-1].version + 1 if self.events else 1
        era = {"era": self.era} if self.era else {}
        self.events.append(
            Event(
                kind=f"lock.{kind}",
                object="lock",
                name=self.key,
                version=version,
                at=moment(BEGIN_US + round(at * SECOND)),
                node="test",
                data={"id": id_, "token": token, **era, **data},
            )
        )
        return self

    def granted(self, at: float, id_: str, token: int, **options: Any) -> History:
        """A grant; `ttl` seconds, `mode` and `limit`."""
        return self._given("granted", at, id_, token, **options)

    def handed(self, at: float, id_: str, token: int, **options: Any) -> History:
        """A claim."""
        return self._given("handed", at, id_, token, **{"ttl": 1.5, **options})

    def waiting(self, at: float, id_: str, *, mode: str = "exclusive", limit: int = 1) -> History:
        """A place in the queue."""
        return self.add("waiting", at, id_, mode=mode, limit=limit, until=0, who=who(id_))

    def renewed(self, at: float, id_: str, token: int, *, ttl: float = 30) -> History:
        """A lease that begins anew."""
        return self.add("renewed", at, id_, token, until=BEGIN_US + round((at + ttl) * SECOND))

    def released(self, at: float, id_: str, token: int) -> History:
        """An end by the holder."""
        return self.add("released", at, id_, token)

    def expired(self, at: float, id_: str, token: int) -> History:
        """An end by the lease."""
        return self.add("expired", at, id_, token, state="held")

    def _given(
        self,
        kind: str,
        at: float,
        id_: str,
        token: int,
        *,
        ttl: float = 30,
        mode: str = "exclusive",
        limit: int = 1,
    ) -> History:
        until = BEGIN_US + round((at + ttl) * SECOND)
        said = {"mode": mode, "limit": limit, "until": until, "who": who(id_)}
        return self.add(kind, at, id_, token, **said)


def who(id_: str) -> dict[str, Any]:
    return {"owner": f"owner-{id_}", "context": f"task-{id_}", "node": "test", "metadata": {}}


@dataclass
class Simulated:
    """A lock that keeps its promises: FIFO hand-off, leases, claims, one clock."""

    history: History = field(default_factory=History)
    tick: int = 0
    """A tenth of a second: whole numbers, so that a lease ends when it says."""
    token: int = 100
    called: int = 0
    held: dict[str, tuple[str, int, int, int, bool]] = field(default_factory=dict)
    """id → mode, limit, end, token, claim."""
    queue: list[tuple[str, str, int]] = field(default_factory=list)

    @property
    def now(self) -> float:
        """In seconds."""
        return self.tick / 10

    def clear(self) -> None:
        for id_, (_, _, end, token, _) in list(self.held.items()):
            if end <= self.tick:
                del self.held[id_]
                self.history.expired(self.now, id_, token)

    def admits(self, mode: str, limit: int) -> bool:
        modes = [each[0] for each in self.held.values()]
        if mode == "shared":
            return all(each == "shared" for each in modes)
        return len(modes) < limit if mode == "permit" else not modes

    def serve(self) -> None:
        while self.queue and self.admits(*self.queue[0][1:]):
            id_, mode, limit = self.queue.pop(0)
            self.token += 1
            self.held[id_] = (mode, limit, self.tick + 15, self.token, True)
            self.history.handed(self.now, id_, self.token, mode=mode, limit=limit)

    def ask(self, mode: str, limit: int, ttl: int) -> None:
        self.clear()
        self.serve()
        self.called += 1
        id_ = f"c{self.called}"
        if not self.queue and self.admits(mode, limit):
            self.token += 1
            self.held[id_] = (mode, limit, self.tick + ttl, self.token, False)
            self.history.granted(self.now, id_, self.token, ttl=ttl / 10, mode=mode, limit=limit)
        else:
            self.queue.append((id_, mode, limit))
            self.history.waiting(self.now, id_, mode=mode, limit=limit)

    def claim(self, ttl: int) -> None:
        self.clear()
        for id_, (mode, limit, _, token, claimed) in list(self.held.items()):
            if claimed:
                self.held[id_] = (mode, limit, self.tick + ttl, token, False)
                self.history.granted(self.now, id_, token, ttl=ttl / 10, mode=mode, limit=limit)

    def renew(self, number: int, ttl: int) -> None:
        self.clear()
        if self.held:
            id_ = sorted(self.held)[number % len(self.held)]
            mode, limit, _, token, claimed = self.held[id_]
            self.held[id_] = (mode, limit, self.tick + ttl, token, claimed)
            self.history.renewed(self.now, id_, token, ttl=ttl / 10)
        self.serve()

    def release(self, number: int) -> None:
        self.clear()
        id_ = f"c{1 + number % max(1, self.called)}"
        if id_ in self.held:
            self.history.released(self.now, id_, self.held.pop(id_)[3])
        elif id_ in [each[0] for each in self.queue]:
            self.queue = [each for each in self.queue if each[0] != id_]
            self.history.add("gave_up", self.now, id_)
        else:
            self.history.add("release_refused", self.now, id_)
        self.serve()

    def force(self) -> None:
        self.clear()
        for id_, (*_, token, _) in self.held.items():
            self.history.add("forced", self.now, id_, token, actor="me", reason="stuck")
        self.held.clear()
        self.token += 1
        self.serve()


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """What a lock that keeps its promises records."""
    kind = draw(st.sampled_from([Mode.EXCLUSIVE, Mode.PERMIT]))
    simulated = Simulated()
    numbers, ttls = st.integers(0, 20), st.sampled_from([5, 20, 50])
    simulated.ask(kind, 2, 20)
    for _ in range(draw(st.integers(1, 40))):
        simulated.tick += draw(st.sampled_from([0, 1, 4, 10, 30]))
        match draw(st.sampled_from("aaacccrrlllf")):
            case "a":
                shared = kind is Mode.EXCLUSIVE and draw(st.booleans())
                simulated.ask(Mode.SHARED if shared else kind, 2, draw(ttls))
            case "c":
                simulated.claim(draw(ttls))
            case "r":
                simulated.renew(draw(numbers), draw(ttls))
            case "l":
                simulated.release(draw(numbers))
            case "f":
                simulated.force()
    return simulated.history.events


def renumbered(events: list[Event]) -> list[Event]:
    """The same events as if no other had been."""
    return [replace(event, version=number) for number, event in enumerate(events, 1)]
