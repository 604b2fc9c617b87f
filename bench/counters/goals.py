"""What the tables are to reach. Only printed; a bench asserts nothing."""

from bench.columns import Columns
from bench.counters import names
from bench.counters.tables import Contended, Free
from bench.report import Goal, against


def goals(free: Free, contended: Contended) -> list[Goal]:
    """Goals of both tables, with None for what could not be measured."""
    return [
        against(free, "free, Concord add x redis-py INCR", 1.2, names.ADD, names.INCR),
        against(free, "free, add(op_id) x redis-py INCR", 1.2, names.ADD_OP_ID, names.INCR),
        against(contended, "contended, add x redis-py INCR", 1.2, names.ADD, names.INCR),
        against(contended, "contended, compare_and_set x WATCH", 3.0, names.CAS, names.WATCH),
        Goal("lost or doubled by Concord", 0, _violations(free, contended), at_most=True),
    ]


def _violations(*tables: Columns) -> float:
    return sum(
        series.violations
        for table in tables
        for name, series in table.series.items()
        if name.startswith("Concord")
    )
