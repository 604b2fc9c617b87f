"""Counters in ZooKeeper: a node's version guards every change. For few and precious names.

/concord/counters/<name>             what stands, see `State`
/concord/counters/<name>/e/<version> the event of a version, the last of them
/concord/counters/<name>/o/<n>/<id>  what became of a call with an op id

A change, its event and what is remembered of its call are one commit, which the server refuses if
anybody else changed the counter since it was read. So a late copy of a commit does nothing, and
whether a commit of unknown outcome was applied is told by the event of its version.
"""

import json
import random
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from coordination import conf
from coordination.connections.zookeeper import ZooKeeperStore
from coordination.connections.zookeeper_errors import ReplyLost, ZooKeeperRefused
from coordination.connections.zookeeper_requests import (
    Children,
    Commit,
    Create,
    Delete,
    Get,
    Step,
    Sync,
    Write,
)
from coordination.counters.events import note_of, past
from coordination.counters.holding import Room, room_of
from coordination.counters.machine import decide
from coordination.counters.types import KINDS, Answer, Change, Ending, Past, Reading, Rules
from coordination.exceptions import CoordinationError, OutcomeUnknown, StoreUnavailable
from coordination.kernel.backoff import backoff_ms
from coordination.locks.stores.zookeeper.paths import quoted

EVENTS_KEPT = 1_000
"""Of each counter."""
BATCH = 100
BASE_MS, CAP_MS = 2, 100
"""The pause after somebody else was first, and how far it grows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What stands in a counter's node."""

    value: int
    version: int = 0
    calls: int = 0
    """Number of the node that calls are remembered in. They are looked for in the one before, too;
    those before that are removed."""
    since_ms: int = 0
    """When that node was begun, by the leader's clock, or earlier."""
    held: Mapping[str, int | None] = field(default_factory=dict)
    """Branch of an open transaction → what it may add; None once it has, see `zookeeper_holds`."""

    def packed(self) -> bytes:
        """As it stands in the node."""
        stands = [self.value, self.version, self.calls, self.since_ms]
        return json.dumps([*stands, self.held] if self.held else stands).encode()

    @property
    def room(self) -> Room:
        """What open transactions hold of it."""
        return room_of(amount for amount in self.held.values() if amount is not None)


class Seen(NamedTuple):
    """A counter as it was read."""

    state: State
    version: int
    """Of its node; -1 when there is none."""
    written_ms: int


class ZooKeeperCounters:
    """Counters of one ZooKeeper; see `coordination.counters.store.CounterStore`."""

    def __init__(self, store: ZooKeeperStore, *, node: str) -> None:
        self.alias = store.alias
        self.deadline_ms = store.deadline_ms
        self.zookeeper = store
        self.node = node
        self.top = f"{store.root}/concord/counters"

    def cell(self, rules: Rules) -> "ZooKeeperCell":
        """One counter; nothing is sent."""
        return ZooKeeperCell(self, rules)

    def make_parents(self, deadline_ms: int) -> None:
        """Make the nodes above those of the counters, one after the other."""
        parts = self.top.split("/")[1:]
        paths = ("/" + "/".join(parts[: depth + 1]) for depth in range(len(parts)))
        made = [Commit((Create(path=path),)) for path in paths]
        self.zookeeper.ask(*made, deadline_ms=deadline_ms)


class ZooKeeperCell:
    """One counter; see `coordination.counters.store.Cell` for the verbs."""

    def __init__(self, store: ZooKeeperCounters, rules: Rules) -> None:
        self._store = store
        self._rules = rules
        self._path = f"{store.top}/{quoted(rules.name)}"

    def read(self) -> Reading:
        """As it stands."""
        state = Trial(self._store, self._rules, self._path).look().state
        return Reading(state.value, state.version)

    def change(self, change: Change) -> Answer:
        """Apply it; or the answer that the first call with its id got."""
        return Trial(self._store, self._rules, self._path).apply(change)

    def change_many(self, changes: Sequence[Change]) -> list[Answer | CoordinationError]:
        """Apply several, each by itself and in this order, one after the other."""
        answers: list[Answer | CoordinationError] = []
        # All within one deadline: what it is over for was not sent.
        until = time.monotonic() + self._store.deadline_ms / 1000
        for change in changes:
            try:
                trial = Trial(self._store, self._rules, self._path, until=until)
                answers.append(trial.apply(change))
            except CoordinationError as error:
                answers.append(error)
        return answers

    def history(self, limit: int) -> list[Past]:
        """The last changes, the newest first."""
        trial = Trial(self._store, self._rules, self._path)
        last = trial.look().state.version
        versions = range(last, max(0, last - limit), -1)
        found: list[Past] = []
        for at in range(0, len(versions), BATCH):
            for version in versions[at : at + BATCH]:
                event = trial.event(version)
                if event is None:
                    return found
                found.append(event)
        return found


class Trial:
    """One call, until its deadline."""

    def __init__(
        self,
        store: ZooKeeperCounters,
        rules: Rules,
        path: str,
        *,
        until: float | None = None,
    ) -> None:
        self._store = store
        self._rules = rules
        self._path = path
        self._until = until or time.monotonic() + store.deadline_ms / 1000
        self._unsure: dict[int, Answer] = {}
        """Versions whose commit has an unknown outcome, and what it would be answered."""

    def apply(self, change: Change) -> Answer:
        """Until a commit was applied, or nothing is to be written."""
        refusals = 0
        while True:
            try:
                answer = self._attempt(change)
            except OutcomeUnknown:
                answer = None
            except StoreUnavailable as error:
                if self._left_ms() > 0 and isinstance(error, ReplyLost):
                    answer = None
                elif self._unsure:
                    raise self._unknown(error) from error
                else:
                    raise
            if answer is not None:
                return answer
            refusals += 1
            self._pause(refusals)

    def look(self) -> Seen:
        """The counter as it stands; one that nobody has written is `initial`."""
        _, found = self._ask(Sync(self._path), Get(self._path))
        if isinstance(found, ZooKeeperRefused):
            return Seen(State(value=self._rules.initial), -1, 0)
        data, stat = found
        value, version, calls, since_ms, *holds = json.loads(data)
        held = holds[0] if holds else {}
        state = State(value=value, version=version, calls=calls, since_ms=since_ms, held=held)
        return Seen(state, stat.version, stat.mtime_ms)

    def event(self, version: int) -> Past | None:
        """The change that made a version; None when it is not kept any more."""
        (found,) = self._ask(Get(f"{self._path}/e/{version}"))
        if isinstance(found, ZooKeeperRefused):
            return None
        data, stat = found
        told = json.loads(data)
        return past(
            told, kind=told["kind"], version=version, at_us=stat.ctime_ms * 1000, node=told["node"]
        )

    def _attempt(self, change: Change) -> Answer | None:
        """The answer, or None when it is to be tried again."""
        seen = self.look()
        if (applied := self._applied(change, seen)) is not None:
            return applied
        if change.op_id and (known := self._known(change, seen)) is not None:
            return known
        state = seen.state
        answer = decide(self._rules, Reading(state.value, state.version), change, state.room)
        if answer.ending is not Ending.DONE and not change.op_id:
            return answer
        new = replace(state, value=answer.value, version=answer.version)
        turned = change.op_id and self._is_old(seen)
        if turned:
            new = replace(new, calls=state.calls + 1, since_ms=seen.written_ms)
        # A refusal tells of this commit alone: one sent before may be what was in its way.
        sole = answer.version not in self._unsure
        if answer.ending is Ending.DONE:
            self._unsure[answer.version] = answer
        try:
            (reply,) = self._ask(Commit(self._steps(change, seen, new, answer)))
        except StoreUnavailable:
            if sole:
                self._unsure.pop(answer.version, None)
            raise
        if isinstance(reply, ZooKeeperRefused):
            if sole:
                self._unsure.pop(answer.version, None)
            self._make_way(reply)
            return None
        if turned:
            self._forget(new.calls - 1)
        return answer

    def _steps(self, change: Change, seen: Seen, new: State, answer: Answer) -> list[Step]:
        path, fresh = self._path, seen.version < 0
        steps: list[Step] = [Create(path=path, data=new.packed())]
        if fresh:
            steps += [Create(path=f"{path}/e"), Create(path=f"{path}/o")]
            steps.append(Create(path=f"{path}/o/0"))
        else:
            steps = [Write(path, new.packed(), seen.version)]
            if new.calls != seen.state.calls:
                steps.append(Create(path=f"{path}/o/{new.calls}"))
        if answer.ending is Ending.DONE:
            event = note_of(self._rules, change) | {
                "kind": KINDS[change.verb],
                "id": change.id,
                "node": self._store.node,
                "before": seen.state.value,
                "after": answer.value,
            }
            data = json.dumps(event).encode()
            steps.append(Create(path=f"{path}/e/{answer.version}", data=data))
            if answer.version > EVENTS_KEPT:
                steps.append(Delete(f"{path}/e/{answer.version - EVENTS_KEPT}"))
        if change.op_id:
            told = json.dumps(answer).encode()
            steps.append(Create(path=f"{path}/o/{new.calls}/{quoted(change.id)}", data=told))
        return steps

    def _applied(self, change: Change, seen: Seen) -> Answer | None:
        """The answer of a commit that turns out to have been applied."""
        for version, answer in list(self._unsure.items()):
            if version > seen.state.version:
                continue  # it may yet come, but then this time's is refused
            event = self.event(version)
            if event is None:
                raise self._unknown(None)
            if event.op_id == change.id:
                return answer
            del self._unsure[version]
        return None

    def _known(self, change: Change, seen: Seen) -> Answer | None:
        """What is remembered of the first call with this id."""
        places = {seen.state.calls, max(0, seen.state.calls - 1)}
        name = quoted(change.id)
        for found in self._ask(*(Get(f"{self._path}/o/{place}/{name}") for place in places)):
            if not isinstance(found, ZooKeeperRefused):
                ending, value, version, said = json.loads(found[0])
                return Answer(Ending(ending), value, version, said)
        return None

    def _is_old(self, seen: Seen) -> bool:
        return seen.written_ms - seen.state.since_ms > conf.current().op_id_ttl_ms

    def _make_way(self, refused: ZooKeeperRefused) -> None:
        if refused.word == "NoNode" and refused.index == 0:
            self._store.make_parents(self._left_ms())

    def _forget(self, kept_from: int) -> None:
        """Remove what was remembered before, as far as there is time."""
        with suppress(CoordinationError):
            (listed,) = self._ask(Children(f"{self._path}/o"))
            for place in sorted(int(each) for each in listed[0]):
                if place >= kept_from:
                    return
                path = f"{self._path}/o/{place}"
                ((names, _),) = self._ask(Children(path))
                for at in range(0, len(names), BATCH):
                    gone = [Delete(f"{path}/{name}") for name in names[at : at + BATCH]]
                    self._ask(Commit(gone))
                self._ask(Commit((Delete(path),)))

    def _ask(self, *requests: Any) -> list[Any]:
        left_ms = self._left_ms()
        if left_ms <= 0:
            raise StoreUnavailable(
                f"Store {self._store.alias!r}: counter {self._rules.name!r} could not be changed "
                "in time.",
                name=self._rules.name,
                store=self._store.alias,
            )
        return self._store.zookeeper.ask(*requests, deadline_ms=left_ms)

    def _pause(self, refusals: int) -> None:
        uniform = random.random()  # noqa: S311
        pause_ms = backoff_ms(refusals, base_ms=BASE_MS, cap_ms=CAP_MS, uniform=uniform)
        threading.Event().wait(max(0, min(pause_ms, self._left_ms())) / 1000)

    def _left_ms(self) -> int:
        return int((self._until - time.monotonic()) * 1000)

    def _unknown(self, error: Exception | None) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"Store {self._store.alias!r}: whether counter {self._rules.name!r} was changed is "
            "unknown.",
            name=self._rules.name,
            store=self._store.alias,
            reason=str(error or "its event is not kept any more"),
        )
