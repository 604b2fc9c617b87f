"""Classic three-phase commit with timeouts, on a bare network: safe among crashes, not when parted.

What it needs to be safe, all of it: messages arrive within a bound, once, and are not lost; a site
that is silent has crashed; a broadcast goes out as a whole. Sites that recover ask the others.
"""

from typing import Any

from coordination.verification.simulation.chance import Chance
from coordination.verification.simulation.events import EventKind
from coordination.verification.simulation.faults import FAULTS_END_US, FaultKind, Hazards
from coordination.verification.simulation.processes import Process
from coordination.verification.simulation.protocols.classic_tables import (
    COORDINATOR,
    FINAL,
    PARTICIPANT,
    Cause,
    Move,
    State,
)
from coordination.verification.simulation.scheduler import Simulation

HOPS_US = ((5_000, 10_000),)
VOTES_US = 60_000
"""How long the coordinator waits for votes and acks: more than two hops."""
SILENCE_US = 100_000
"""How long a participant waits for the coordinator: more than that and a hop."""
ASK_AGAIN_US = 200_000
MESSAGES = (FaultKind.MESSAGE_LOST, FaultKind.MESSAGE_DUPLICATED, FaultKind.MESSAGE_LATE)
KINDS = (FaultKind.CRASH, FaultKind.PAUSE, FaultKind.PARTITION, *MESSAGES)


class Site:
    """One site: its durable state, and what it has heard since it is up."""

    def __init__(self, world: "ClassicWorld", name: str, state: State) -> None:
        self.world, self.sim = world, world.sim
        self.name, self.state = name, state
        self.first = True
        """The coordinator: it has not asked anybody yet."""
        self.recovering = False
        self.heard: dict[str, set[str]] = {"yes": set(), "ack": set()}
        self.process = Process(name, self._receive, keeps=False)
        self.process.boot = self._booted
        world.sim.processes[name] = self.process

    @property
    def table(self) -> dict[tuple[State, Cause], Move]:
        """What it goes by."""
        return COORDINATOR if self.name == "c" else PARTICIPANT

    # What happens to it

    def begin(self) -> None:
        """The coordinator: ask everybody to vote."""
        if self.process.up and self.first:
            self.step(self._open)

    def _open(self) -> list[tuple[str, str]]:
        self.first = False
        self._wait(VOTES_US)
        return [(name, Cause.CAN_COMMIT) for name in self.world.others(self.name)]

    def _receive(self, message: tuple[str, str]) -> None:
        sender, word = message
        self.step(lambda: self._hear(sender, word))

    def _booted(self) -> None:
        self.heard = {"yes": set(), "ack": set()}
        self.first = False
        self.recovering = True
        self.step(self._recover)

    def _timeout(self, generation: int, state: State) -> None:
        if generation != self.process.generation or state is not self.state:
            return
        if self.process.paused_until_us > self.sim.now_us:
            self.sim.at(self.process.paused_until_us, self._timeout, generation, state)
        else:
            self.step(lambda: self._move(Cause.TIMEOUT))

    # Steps

    def step(self, act: Any) -> None:
        """One atomic step, beside which it may die: what it does, then what it sends."""
        process = self.process
        process.steps += 1
        fault = process.armed.get(process.steps)
        if fault is not None and self.sim.now_us >= FAULTS_END_US:
            fault = None
        if fault is not None and not fault.after and fault.kind is FaultKind.CRASH:
            self.sim.crash(process, fault.span_us, "before a step")
            return
        sends = act()
        if fault is not None and fault.kind is FaultKind.CRASH:
            self._send(sends[: self.world.sent_before_death(len(sends))])
            self.sim.crash(process, fault.span_us, "after a step")
            return
        self._send(sends)
        if fault is not None:
            self.sim.pause(process, fault.span_us, "after a step")

    def _send(self, sends: list[tuple[str, str]]) -> None:
        for to, word in sends:
            self.sim.send(self.name, (to,), (self.name, word), word)

    def _hear(self, sender: str, word: str) -> list[tuple[str, str]]:
        if word == Cause.ASKED:
            return [(sender, self._answer())] if self.state in FINAL else []
        if word in self.heard:
            self.heard[word].add(sender)
            cause = Cause.ALL_YES if word == "yes" else Cause.ALL_ACKS
            all_heard = len(self.heard[word]) == len(self.world.others("c"))
            return self._move(cause) if all_heard else []
        cause = Cause(word)
        if cause is Cause.CAN_COMMIT and self.name in self.world.unwilling:
            cause = Cause.CAN_COMMIT_NO
        return self._move(cause)

    def _answer(self) -> str:
        return Cause.DO_COMMIT if self.state is State.COMMITTED else Cause.ABORT

    def _recover(self) -> list[tuple[str, str]]:
        if self.name != "c" and self.state not in FINAL:
            generation = self.process.generation
            self.sim.at(self.sim.now_us + ASK_AGAIN_US, self._ask_again, generation)
        return self._move(Cause.RECOVERED)

    def _ask_again(self, generation: int) -> None:
        if generation == self.process.generation and self.state not in FINAL:
            self.step(self._recover)

    def _move(self, cause: Cause) -> list[tuple[str, str]]:
        move = self.table.get((self.state, cause))
        if move is None:
            return []
        self._to(move.to)
        if not move.send:
            return []
        to = ["c"] if move.send in ("yes", "no", "ack") else self.world.others(self.name)
        return [(name, str(move.send)) for name in to]

    def _to(self, state: State) -> None:
        if state is self.state:
            return
        self.world.fault = self.world.fault or self._fault(state)
        self.state = state
        self.sim.changed = True
        if self.sim.tracing:
            self.sim.note(EventKind.STATE, self.name, state.value)
        if state not in FINAL and not self.recovering:
            self._wait(VOTES_US if self.name == "c" else SILENCE_US)

    def _fault(self, state: State) -> str | None:
        return f"{self.name} went from {self.state} to {state}" if self.state in FINAL else None

    def _wait(self, wait_us: int) -> None:
        generation = self.process.generation
        self.sim.at(self.sim.now_us + wait_us, self._timeout, generation, self.state)


class ClassicWorld:
    """A coordinator `c` and participants `p1`, `p2`, ... on a network that keeps nothing."""

    def __init__(self, sim: Simulation, chance: Chance, *, whole_broadcasts: bool) -> None:
        self.sim, self.chance = sim, chance
        self.whole_broadcasts = whole_broadcasts
        self.fault: str | None = None
        self.coordinator = Site(self, "c", State.WAITING)
        names = [f"p{number}" for number in range(1, 3 + chance.below(2))]
        self.participants = [Site(self, name, State.IDLE) for name in names]
        self.sites = [self.coordinator, *self.participants]
        self.unwilling = {name for name in names if chance.percent(5)}
        sim.at(0, self.coordinator.begin)

    def others(self, name: str) -> list[str]:
        """Every other site; of the coordinator, the participants."""
        return [site.name for site in self.sites if site.name != name]

    def sent_before_death(self, sends: int) -> int:
        """How many messages of a broadcast go out before its sender dies."""
        return sends if self.whole_broadcasts else self.chance.below(sends + 1)

    def broken(self) -> str | None:
        """The first promise that does not hold now."""
        if self.fault is not None:
            return self.fault
        committed = [site.name for site in self.sites if site.state is State.COMMITTED]
        aborted = [site.name for site in self.sites if site.state is State.ABORTED]
        if committed and aborted:
            return f"{' and '.join(committed)} committed, {' and '.join(aborted)} aborted"
        if committed and self.unwilling:
            return f"committed though {' and '.join(sorted(self.unwilling))} said no"
        return None

    def done(self) -> bool:
        """Whether every site has ended, or was never asked."""
        return all(site.state in FINAL or site.state is State.IDLE for site in self.sites)

    def missing(self) -> str:
        """What keeps it from its end."""
        return ", ".join(f"{site.name} {site.state}" for site in self.sites)

    def end_by_hand(self, place: str, *, commit: bool) -> bool:
        """Nobody does that here."""
        del place, commit
        return False


class ClassicThreePhase:
    """Adapter of `3pc-classic`.

    Args:
        kinds: what may fail; everything that it knows, where none is given.
        whole_broadcasts: whether a site that dies has sent all of a broadcast or nothing.
    """

    name = "3pc-classic"
    hops_us = HOPS_US
    bound_us = 2_000_000

    def __init__(
        self, kinds: tuple[FaultKind, ...] | None = None, *, whole_broadcasts: bool = True
    ) -> None:
        self.kinds = frozenset((*KINDS, FaultKind.MESSAGE_REORDERED) if kinds is None else kinds)
        self.whole_broadcasts = whole_broadcasts
        self._planned = KINDS if kinds is None else kinds

    def build(self, sim: Simulation, chance: Chance) -> ClassicWorld:
        """A transaction drawn from the seed."""
        return ClassicWorld(sim, chance, whole_broadcasts=self.whole_broadcasts)

    def hazards(self, sim: Simulation) -> Hazards:
        """What may fail in the world that was built."""
        return Hazards(
            kinds=self._planned,
            processes=tuple(sim.processes),
            messages=(6, 14),
            steps=(2, 4, 6),
            scales_us=(20_000, 80_000, 200_000, 1_000_000),
        )
