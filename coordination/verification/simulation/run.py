"""One schedule: a world and its faults from a seed, run until all has ended or a promise broke."""

from dataclasses import dataclass
from typing import Protocol

from coordination.verification.simulation import events
from coordination.verification.simulation.chance import Chance
from coordination.verification.simulation.events import Event
from coordination.verification.simulation.faults import (
    FAULTS_END_US,
    Fault,
    FaultKind,
    Hazards,
    drawn,
)
from coordination.verification.simulation.scheduler import Hops, Simulation, World

WORLD, FAULTS, TIMES = 1, 2, 3
"""Streams of chance: what a fault changes in one, no other notices."""


class Adapter(Protocol):
    """A protocol as the simulator takes it: one file of `protocols/`.

    Attributes:
        name: what it is called on the command line and in traces.
        hops_us: how long messages and statements are on their way.
        bound_us: how long after the last fault everything must have ended.
        kinds: the faults that must have occurred for a number of runs to count.
    """

    @property
    def name(self) -> str: ...
    @property
    def hops_us(self) -> Hops: ...
    @property
    def bound_us(self) -> int: ...
    @property
    def kinds(self) -> frozenset[FaultKind]: ...

    def build(self, sim: Simulation, chance: Chance) -> World:
        """Put processes and places into a simulation, and what they begin with into its queue."""

    def hazards(self, sim: Simulation) -> Hazards:
        """What may fail there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one schedule was. `broken` names the first promise that did not hold."""

    protocol: str
    seed: int
    faults: tuple[Fault, ...]
    broken: str | None
    struck: dict[FaultKind, int]
    crashes: tuple[tuple[str, str, bool], ...]
    events: int
    ended_us: int
    trace: tuple[Event, ...] = ()

    @property
    def digest(self) -> str:
        """A hash of the trace."""
        return events.digest(self.trace)

    def __str__(self) -> str:
        lines = [f"{self.protocol}, seed {self.seed}: {self.broken or 'every promise held'}"]
        lines += [f"  {fault}" for fault in self.faults]
        if self.trace:
            lines.append(events.printed(self.trace))
        return "\n".join(lines)


def run(
    adapter: Adapter,
    seed: int,
    *,
    faults: tuple[Fault, ...] | None = None,
    tracing: bool = False,
) -> Run:
    """Run one schedule; `faults` replace those of the seed, for a shrunk counterexample."""
    sim = Simulation(Chance(seed, stream=TIMES), tracing=tracing, hops_us=adapter.hops_us)
    sim.world = adapter.build(sim, Chance(seed, stream=WORLD))
    planned = drawn(Chance(seed, stream=FAULTS), adapter.hazards(sim)) if faults is None else faults
    sim.arm(planned)
    until_us = FAULTS_END_US + adapter.bound_us
    if not sim.run(until_us) and sim.broken is None:
        sim.broken = f"no end within {adapter.bound_us // 1_000_000} s: {sim.world.missing()}"
    return Run(
        protocol=adapter.name,
        seed=seed,
        faults=planned,
        broken=sim.broken,
        struck=sim.struck,
        crashes=tuple(sim.crashes),
        events=sim.events,
        ended_us=sim.now_us,
        trace=tuple(sim.trace),
    )
