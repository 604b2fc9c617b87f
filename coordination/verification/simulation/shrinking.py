"""The smallest counterexample: faults are dropped and shortened as long as it still fails."""

from collections.abc import Iterator
from dataclasses import replace

from coordination.verification.simulation.faults import BY_TIME, Fault, FaultKind
from coordination.verification.simulation.run import Adapter, Run, run

LEAST_US = 1_000


def shrunk(adapter: Adapter, failing: Run) -> Run:
    """A run of the same seed with no fault that is not needed, traced.

    What breaks in it may be another promise than at first: that is as good a counterexample.
    """
    faults = failing.faults
    while (fewer := _smaller(adapter, failing.seed, faults)) is not None:
        faults = fewer
    return run(adapter, failing.seed, faults=faults, tracing=True)


def _smaller(adapter: Adapter, seed: int, faults: tuple[Fault, ...]) -> tuple[Fault, ...] | None:
    """The first smaller list of faults that fails as well, None if there is none."""
    for candidate in (*_dropped(faults), *_shortened(faults)):
        if run(adapter, seed, faults=candidate).broken is not None:
            return candidate
    return None


def _dropped(faults: tuple[Fault, ...]) -> Iterator[tuple[Fault, ...]]:
    for index in range(len(faults)):
        yield (*faults[:index], *faults[index + 1 :])


def _shortened(faults: tuple[Fault, ...]) -> Iterator[tuple[Fault, ...]]:
    for index, fault in enumerate(faults):
        for smaller in _smaller_faults(fault):
            yield (*faults[:index], smaller, *faults[index + 1 :])


def _smaller_faults(fault: Fault) -> Iterator[Fault]:
    if abs(fault.span_us) > LEAST_US:
        yield replace(fault, span_us=int(fault.span_us / 2))
    if len(fault.target) > 1:
        for name in fault.target:
            yield replace(fault, target=tuple([each for each in fault.target if each != name]))
    if fault.kind in BY_TIME and fault.kind is not FaultKind.PARTITION and fault.at > LEAST_US:
        yield replace(fault, at=fault.at // 2)
