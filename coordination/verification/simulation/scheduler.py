"""Virtual time: one queue of what is due, a network between processes and places, and its faults.

A statement and its reply are one event at the time it is performed: between the two nothing of the
asking process can be seen by others, so no order of events is lost, only their number halved.
"""

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any, Protocol

from coordination.verification.simulation.chance import Chance
from coordination.verification.simulation.events import Event, EventKind
from coordination.verification.simulation.faults import (
    BY_MESSAGE,
    BY_STEP,
    FAULTS_END_US,
    Fault,
    FaultKind,
)
from coordination.verification.simulation.processes import Lost, Place, Process, Task, Work

Hops = tuple[tuple[int, int], ...]
PATIENCE_US = 30_000
"""How long a client waits for an answer that does not come."""
AGAIN_US = (0, 0, 10_000, 50_000, 2_000_000)
"""How long after the first the second delivery of a message sets out."""
HOPS_US = ((200, 1_000), (200, 5_000), (200, 60_000))
"""The least time of a hop and how much longer it may take, in calm and in busy networks."""


class World(Protocol):
    """What an adapter builds upon a simulation."""

    def broken(self) -> str | None:
        """The first promise that does not hold now. Asked whenever `changed` was set."""

    def done(self) -> bool:
        """Whether all has ended as it should. Asked when nothing is under way."""

    def missing(self) -> str:
        """What keeps it from its end."""

    def end_by_hand(self, place: str, *, commit: bool) -> bool:
        """Let somebody end what is prepared at a place; False where nothing is."""


class Simulation:
    """One run. `struck` counts the faults that occurred, `broken` says which promise did not hold.

    `changed` is set by whoever changes what promises are about. `crashes` are the steps beside
    which a process died.
    """

    def __init__(self, chance: Chance, *, tracing: bool = False, hops_us: Hops = HOPS_US):
        self.chance = chance
        self.now_us = 0
        self.tracing = tracing
        self.trace: list[Event] = []
        self.processes: dict[str, Process] = {}
        self.places: dict[str, Place] = {}
        self.struck: dict[FaultKind, int] = {}
        self.crashes: list[tuple[str, str, bool]] = []
        self.changed = False
        self.broken: str | None = None
        self.busy = 0
        """Tasks that run and messages under way."""
        self.events = 0
        self.current: Task | None = None
        """Whose statement is being performed."""
        self.set_back_us = 0
        """How far clocks were set back, which is how much longer a deadline may take."""
        self.world: World
        self._hop_least_us, self._hop_more_us = chance.pick(hops_us)
        self._queue: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = 0
        self._messages = 0
        self._message_faults: dict[int, Fault] = {}
        self._cut: frozenset[str] | None = None

    # Time

    def at(self, at_us: int, act: Callable[..., None], *args: Any) -> None:
        """Let something happen at a time."""
        self._order += 1
        heappush(self._queue, (at_us, self._order, act, args))

    def run(self, until_us: int) -> bool:
        """Let time pass until the world is done, a promise breaks or time is over; is it done?"""
        queue, world = self._queue, self.world
        while queue:
            at_us, _, act, args = heappop(queue)
            if at_us > until_us + self.set_back_us:
                return False
            self.now_us = at_us
            self.events += 1
            act(*args)
            if self.changed:
                self.changed = False
                self.broken = self.broken or world.broken()
            if self.broken is not None:
                return False
            if not self.busy and world.done():
                return True
        return False

    def hop_us(self) -> int:
        """How long the next hop takes."""
        return self._hop_least_us + self.chance.below(self._hop_more_us)

    def note(self, kind: EventKind, who: str, what: str, whom: str = "", number: int = 0) -> None:
        """Put an event on record. Call it where `tracing`."""
        self.trace.append(Event(self.now_us, kind, who, what, whom, number))

    # Tasks

    def start(self, process: Process, work: Work, message: object = None) -> None:
        """Let a process begin a task."""
        task = Task(process, work, message)
        process.tasks[task] = None
        self.busy += 1
        self._go_on(task, None, None)

    def _go_on(self, task: Task, answer: Any, error: Exception | None) -> None:
        if task.dead:
            return
        process = task.process
        if process.paused_until_us > self.now_us:
            self.at(process.paused_until_us, self._go_on, task, answer, error)
            return
        try:
            wanted = task.work.send(answer) if error is None else task.work.throw(error)
        except (StopIteration, Lost):
            self._over(task)
            return
        if isinstance(wanted, int):
            self.at(self.now_us + wanted, self._go_on, task, None, None)
            return
        process.steps += 1
        fault = process.armed.get(process.steps) if process.armed else None
        delay_us = self.hop_us()
        if fault is not None and not fault.after and self.now_us < FAULTS_END_US:
            if fault.kind is FaultKind.CRASH:
                self.crashes.append((process.name, wanted[1], False))
                self.crash(process, fault.span_us, f"before {wanted[1]}")
                return
            if fault.kind is FaultKind.PAUSE:
                delay_us += self.pause(process, fault.span_us, f"before {wanted[1]}")
        task.asking = True
        self.at(self.now_us + delay_us, self._performed, task, wanted, fault)

    def _over(self, task: Task) -> None:
        if not task.dead:
            task.dead = True
            self.busy -= 1
            del task.process.tasks[task]

    def _performed(self, task: Task, wanted: Any, fault: Fault | None) -> None:
        place, name, act, args = wanted
        lands, task.asking, task.lands = task.lands, False, False
        if task.dead and not lands:
            return
        if fault is not None and self.now_us >= FAULTS_END_US:
            fault = None
        process = task.process
        lost = fault is not None and fault.kind is FaultKind.STATEMENT_LOST
        if lost or not place.up or (self._cut is not None and self._parted(process.name, place)):
            self._unanswered(task, place, name, FaultKind.STATEMENT_LOST if lost else None)
            return
        self.current = task
        error, answer = None, None
        try:
            answer = act(*args)
        except Exception as refused:  # noqa: BLE001 - whatever a place answers is its client's
            error = refused
        self.current = None
        if self.tracing:
            what = name if error is None else f"{name}: {type(error).__name__}"
            self.note(EventKind.STEP, process.name, what, place.name)
        if task.dead:
            return
        if fault is not None and self._strikes_after(task, place, name, fault):
            return
        self._go_on(task, answer, error)

    def _strikes_after(self, task: Task, place: Place, name: str, fault: Fault) -> bool:
        """Whether a fault after a step keeps its answer away."""
        if fault.kind is FaultKind.REPLY_LOST:
            self._unanswered(task, place, name, fault.kind)
            return True
        if fault.after and fault.kind is FaultKind.CRASH:
            self.crashes.append((task.process.name, name, True))
            self.crash(task.process, fault.span_us, f"after {name}")
            return True
        if fault.after and fault.kind is FaultKind.PAUSE:
            self.pause(task.process, fault.span_us, f"after {name}")
        return False

    def _unanswered(self, task: Task, place: Place, name: str, kind: FaultKind | None) -> None:
        if kind is not None:
            self.strike(kind, task.process.name, f"{kind}: {name} at {place.name}")
        elif self.tracing:
            self.note(EventKind.STEP, task.process.name, f"{name}: no connection", place.name)
        self.at(self.now_us + PATIENCE_US, self._go_on, task, None, Lost())

    # Messages

    def send(self, sender: str, to: Sequence[str], message: Any, words: str) -> None:
        """Send a message to one of several processes, whichever takes it.

        It may fail to arrive, come late, or come twice.
        """
        self._messages += 1
        number = self._messages
        fault = self._message_faults.get(number) if self._message_faults else None
        late_us = 0
        if fault is not None and self.now_us < FAULTS_END_US:
            self.strike(fault.kind, sender, f"{fault.kind}: message {number}, {words}")
            if fault.kind is FaultKind.MESSAGE_LOST:
                return
            late_us = fault.span_us
            if fault.kind is FaultKind.MESSAGE_DUPLICATED:
                self._post(sender, to, message, words, number, self.chance.pick(AGAIN_US))
        self._post(sender, to, message, words, number, late_us)

    def _post(
        self,
        sender: str,
        several: Sequence[str],
        message: Any,
        words: str,
        number: int,
        late_us: int,
    ) -> None:
        to = several[0] if len(several) == 1 else self.chance.pick(several)
        if self.tracing:
            self.note(EventKind.SENT, sender, words, to, number)
        self.busy += 1
        late_us += self.hop_us()
        self.at(self.now_us + late_us, self._delivered, sender, to, message, words, number)

    def _delivered(self, sender: str, to: str, message: Any, words: str, number: int) -> None:
        self.busy -= 1
        process = self.processes[to]
        if self._cut is not None and (sender in self._cut) != (to in self._cut):
            if self.tracing:
                self.note(EventKind.FAULT, to, f"cut off from {sender}: message {number} is lost")
            return
        if not process.up:
            if process.keeps:
                self._hold(process, message)
            return
        if process.paused_until_us > self.now_us:
            self.busy += 1
            self.at(process.paused_until_us, self._delivered, sender, to, message, words, number)
            return
        if number < process.latest:
            self.strike(FaultKind.MESSAGE_REORDERED, to, f"message {number} was overtaken")
        else:
            process.latest = number
        if self.tracing:
            self.note(EventKind.RECEIVED, to, words, sender, number)
        process.receive(message)

    # Faults

    def arm(self, faults: tuple[Fault, ...]) -> None:
        """Let faults strike where they are planned. Of two at one place the first one does."""
        for fault in faults:
            if fault.kind in BY_MESSAGE:
                self._message_faults.setdefault(fault.at, fault)
            elif fault.kind in BY_STEP:
                self.processes[fault.target[0]].armed.setdefault(fault.at, fault)
            else:
                self.at(fault.at, self._strike_at, fault)

    def strike(self, kind: FaultKind, who: str, words: str) -> None:
        """Count a fault that occurred."""
        self.struck[kind] = self.struck.get(kind, 0) + 1
        if self.tracing:
            self.trace.append(Event(self.now_us, EventKind.FAULT, who, words, fault=kind))

    def _strike_at(self, fault: Fault) -> None:
        name = fault.target[0]
        if fault.kind is FaultKind.PARTITION:
            self._part(fault)
        elif fault.kind is FaultKind.DATABASE_CRASH:
            self._crash_place(self.places[name], fault.span_us)
        elif fault.kind is FaultKind.CLOCK_JUMP:
            self._jump(self.places[name], fault.span_us)
        elif self.world.end_by_hand(name, commit=fault.after):
            words = f"somebody {'commits' if fault.after else 'rolls back'} by hand"
            self.strike(fault.kind, name, words)

    def _part(self, fault: Fault) -> None:
        if self._cut is None:
            self._cut = frozenset(fault.target)
            self.strike(fault.kind, "network", f"{' + '.join(fault.target)} | the rest")
            self.at(min(self.now_us + fault.span_us, FAULTS_END_US), self._heal)

    def _heal(self) -> None:
        self._cut = None
        if self.tracing:
            self.note(EventKind.FAULT, "network", "heals")

    def _parted(self, process: str, place: Place) -> bool:
        return self._cut is not None and (process in self._cut) != (place.name in self._cut)

    def _jump(self, place: Place, jump_us: int) -> None:
        place.offset_us += jump_us
        self.set_back_us += max(0, -jump_us)
        self.strike(FaultKind.CLOCK_JUMP, place.name, f"its clock jumps by {jump_us / 1000:g} ms")
        if place.jumped is not None:
            place.jumped()

    def pause(self, process: Process, span_us: int, words: str) -> int:
        """Stop a process for a while; returns how long."""
        until_us = min(self.now_us + span_us, FAULTS_END_US)
        process.paused_until_us = max(process.paused_until_us, until_us)
        self.strike(FaultKind.PAUSE, process.name, f"pauses {words}, {span_us / 1000:g} ms")
        return until_us - self.now_us

    def crash(self, process: Process, span_us: int, words: str) -> None:
        """Kill a process; it is started again after a while."""
        self.strike(FaultKind.CRASH, process.name, f"dies {words}")
        process.up = False
        process.generation += 1
        for task in list(process.tasks):
            self._over(task)
            # What was sent may still be performed; what was not acknowledged may come again.
            task.lands = task.asking and self.chance.percent(50)
            if task.message is not None and self.chance.percent(70):
                self._hold(process, task.message)
        self.at(min(self.now_us + span_us, FAULTS_END_US), self._restart, process)

    def _hold(self, process: Process, message: Any) -> None:
        process.held.append(message)
        self.busy += 1

    def _restart(self, process: Process) -> None:
        process.up = True
        process.paused_until_us = 0
        if self.tracing:
            self.note(EventKind.STATE, process.name, "up again")
        if process.boot is not None:
            process.boot()
        held, process.held = process.held, []
        self.busy -= len(held)
        for message in held:
            process.receive(message)

    def _crash_place(self, place: Place, span_us: int) -> None:
        if not place.up:
            return
        place.up = False
        place.generation += 1
        self.strike(FaultKind.DATABASE_CRASH, place.name, "crashes")
        if place.power_cut is not None:
            place.power_cut()
        self.at(min(self.now_us + span_us, FAULTS_END_US), self._up_again, place)

    def _up_again(self, place: Place) -> None:
        place.up = True
        if self.tracing:
            self.note(EventKind.STATE, place.name, "up again")
