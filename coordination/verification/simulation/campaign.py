"""Many schedules, one seed each: what failed, and whether everything that could fail did."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from coordination.verification.simulation.faults import FaultKind
from coordination.verification.simulation.run import Adapter, Run, run

VIOLATIONS_KEPT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """What a number of schedules came to. `violations` are the first of them, by seed."""

    protocol: str
    seed: int
    schedules: int
    broken: int
    violations: tuple[Run, ...]
    struck: Mapping[FaultKind, int]
    missing: tuple[FaultKind, ...]
    """Kinds that should have occurred and did not."""
    events: int
    crashes: Mapping[tuple[str, str, bool], int]
    """How often who died beside which step: (process, step, whether after it)."""

    @property
    def counts(self) -> bool:
        """Whether it says anything: a fault that never occurred was not survived."""
        return not self.missing

    def __str__(self) -> str:
        faults = ", ".join(f"{kind} {count:,}" for kind, count in sorted(self.struck.items()))
        done = f"{self.schedules:,} schedules from seed {self.seed}"
        lines = [
            f"{self.protocol}: {done}, {self.broken} violations, {self.events:,} events",
            f"  faults: {faults or 'none'}",
        ]
        if self.missing:
            lines.append(f"  does not count, never occurred: {', '.join(self.missing)}")
        lines += [f"  seed {each.seed}: {each.broken}" for each in self.violations]
        return "\n".join(lines)


def campaign(
    adapter: Adapter, *, schedules: int, seed: int = 1, until_broken: bool = False
) -> Campaign:
    """Run the schedules of `seed` and of those that follow; with `until_broken` stop at the first
    violation."""
    struck: Counter[FaultKind] = Counter()
    crashes: Counter[tuple[str, str, bool]] = Counter()
    violations: list[Run] = []
    events = broken = done = 0
    for each in range(seed, seed + schedules):
        found = run(adapter, each)
        done += 1
        events += found.events
        struck.update(found.struck)
        crashes.update(found.crashes)
        if found.broken is not None:
            broken += 1
            if len(violations) < VIOLATIONS_KEPT:
                violations.append(found)
            if until_broken:
                break
    return Campaign(
        protocol=adapter.name,
        seed=seed,
        schedules=done,
        broken=broken,
        violations=tuple(violations),
        struck=dict(struck),
        missing=tuple([kind for kind in FaultKind if kind in adapter.kinds and not struck[kind]]),
        events=events,
        crashes=dict(crashes),
    )
