"""The transactions themselves: which are stuck and why, and which cannot be forgotten."""

from collections import Counter
from collections.abc import Iterator, Sequence

from django.core.checks import CheckMessage, Warning  # noqa: A004

from coordination import conf
from coordination.connections import database
from coordination.connections.database import UNREACHABLE, Statement, StatementRefused
from coordination.probes import Probe
from coordination.transactions import situations
from coordination.transactions.explaining import Explanation
from coordination.transactions.forgetting import Candidate, Kept, candidates

NAME = "transactions"
SHOWN_MAX = 5
OVERDUE_MAX = 500
_REMEDIES = {
    Kept.UNFINISHED: "See why it does not end: manage.py concord resolve.",
    Kept.UNAUDITED: "Let manage.py concord observe run, and see that it reaches every database.",
    Kept.UNACKNOWLEDGED: "Put right what ended otherwise, then acknowledge it.",
    Kept.UNOBSERVED: "Let manage.py concord observe run.",
    Kept.PREPARED: "A branch is prepared after the end: let manage.py concord sweep run.",
    Kept.UNSEEN: "A database of its branches does not answer.",
}
OLDEST = """
SELECT count(*), (extract(epoch FROM clock_timestamp() - min(created_at)) / 86400)::float8
FROM (SELECT created_at FROM concord_transaction ORDER BY created_at LIMIT 1) AS t"""


def probe() -> Probe:
    """Ask the coordinator's rows; never raises for a database that is down."""
    try:
        using = conf.current().transactions.using
        ((count, days),) = database.run(using, Statement(OLDEST))[0].rows
        stuck, overdue = situations.stuck(limit=SHOWN_MAX), candidates(limit=OVERDUE_MAX)
    except StatementRefused as error:
        # Without tables, of which the probe of the database tells.
        return Probe(name=NAME, answered=True, detail=f"cannot be asked: {error.sqlstate}")
    except UNREACHABLE as error:
        return Probe(name=NAME, answered=False, detail=" ".join(str(error).split()))
    detail = f"the oldest began {days:.1f} days ago" if count else "none is remembered"
    messages = (*_stuck(stuck), *_overdue(overdue))
    return Probe(name=NAME, answered=True, detail=detail, messages=messages)


def _stuck(stuck: Sequence[Explanation]) -> Iterator[CheckMessage]:
    for each in stuck:
        radius = "".join(f" {one.sentence}." for one in each.radius)
        yield Warning(
            f"The transaction {each.gid} is stuck. {each.sentence}{radius}",
            hint="When the cause is gone: manage.py concord resolve --retry-all --reason '...'.",
            id="concord.W140",
        )


def _overdue(overdue: Sequence[Candidate]) -> Iterator[CheckMessage]:
    """What began before the retention and cannot be forgotten, by reason."""
    kept = [each for each in overdue if each.kept not in (None, Kept.YOUNG, Kept.ELSEWHERE)]
    oldest = {each.kept: each for each in reversed(kept)}
    for why, count in Counter(each.kept for each in kept).items():
        assert why is not None
        many = f"at least {count}" if len(overdue) == OVERDUE_MAX else str(count)
        yield Warning(
            f"Older than the retention and not forgotten, because {why}: {many} transactions, the "
            f"oldest {oldest[why].gid} of {oldest[why].began_at:%Y-%m-%d}.",
            hint=_REMEDIES[why],
            id="concord.W141",
        )
