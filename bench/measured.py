"""Cases of several agents, interleaved, without those that cannot do it."""

import sys
from collections.abc import Sequence

from bench.agents import Agent, AgentCase
from bench.chunks import WARM_UP_CYCLES, CaseFailed, Measured, interleave


def measured(
    what: str,
    agents: Sequence[Agent],
    seconds: float,
    failures: list[str],
    *,
    warm_up: int = WARM_UP_CYCLES,
) -> Measured:
    """Let the cases of all agents take turns; why some were left out is added to `failures`."""
    sys.stderr.write(f"measuring {what}\n")
    sys.stderr.flush()
    cases: list[AgentCase] = []
    for agent in agents:
        try:
            found = agent.cases()
        except CaseFailed as error:
            failures.append(f"{what}: {error}")
        else:
            cases += _working(what, found, failures)
    found_out = interleave(cases, seconds=seconds, warm_up=warm_up)
    failures += [f"{what}, {line}" for line in found_out.failures]
    return found_out


def _working(what: str, cases: Sequence[AgentCase], failures: list[str]) -> list[AgentCase]:
    """Those that can do it once; the others' reasons are told."""
    working = []
    for case in cases:
        try:
            case.repeat(1)
        except CaseFailed as error:
            failures.append(f"{what}, {case.name}: {error}")
        else:
            working.append(case)
    return working
