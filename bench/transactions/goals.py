"""What the tables are to reach. Only printed; a bench asserts nothing."""

from collections.abc import Mapping, Sequence

from bench.chunks import Series
from bench.report import Goal, Table
from bench.transactions.names import (
    CELERY_1,
    CHORDS,
    DBOS_1,
    GETS,
    LAST_AGENT,
    PAXOS,
    REGISTER,
    UNAWAITED,
)


def goals(here: Table, everywhere: Table) -> list[Goal]:
    """Goals of the two tables, with None for what could not be measured."""
    register, last = here.speed(REGISTER), here.speed(LAST_AGENT)
    series = everywhere.series
    awaited = _faster(series, CELERY_1, (CHORDS, GETS))
    any_form = _faster(series, CELERY_1, (CHORDS, GETS, UNAWAITED))
    paxos = _faster(here.series, PAXOS, (REGISTER,))
    dbos = _faster(series, REGISTER, (DBOS_1,))
    return [
        Goal("register form x raw, bodies by Django's cursors", 0.28, register),
        Goal("register form x raw, engine's statements pipelined outside them", 0.5, register),
        Goal("last agent x raw, bodies by Django's cursors", 0.35, last),
        Goal("last agent x raw, engine's statements pipelined outside them", 0.6, last),
        Goal("Paxos commit x register form (1/1.3)", 0.77, paxos),
        Goal("register form x DBOS at 1", 3, dbos),
        Goal("through Celery at 1 x best naive form that awaits its commits", 2, awaited),
        Goal("through Celery at 1 x best naive form of all", 2, any_form),
    ]


def _faster(series: Mapping[str, Series], name: str, others: Sequence[str]) -> float | None:
    """How many times faster than the fastest of `others`."""
    known = [series[other] for other in others if other in series]
    if name not in series or not known:
        return None
    return min(series[name].speed_against(other) for other in known)
