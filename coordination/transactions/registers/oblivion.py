"""Forgetting the registers of days of which no transaction is left.

They are the project's own: whoever shares its acceptors with another project would forget for both.
"""

from datetime import UTC, datetime

from coordination import conf
from coordination.connections import database
from coordination.connections.database import Statement
from coordination.consensus.api import forget_before
from coordination.transactions.types import QUORUM, ROW

DAY_S = 86_400
MARGIN_DAYS = 2
"""Who began a transaction named its day by the clock of its own machine."""
OLDEST = "SELECT created_at FROM concord_transaction ORDER BY created_at LIMIT 1"
NOW = "SELECT clock_timestamp()"


def forget() -> int:
    """Forget what is old, on every store of registers in use; returns 0: that is a round.

    Raises what `forget_before` and `database.run` raise.
    """
    settings = conf.current()
    places = {settings.transactions.register} - {ROW}
    if settings.consensus.acceptors:
        places.add(QUORUM)
    if places:
        period = _oldest_kept(settings.transactions.using, settings.transactions.retention_ms)
        for place in sorted(places):
            forget_before(period, using=place)
    return 0


def _oldest_kept(using: str, retention_ms: int) -> int:
    """The first day whose registers may still be asked for."""
    rows, now = database.run(using, Statement(OLDEST), Statement(NOW))
    horizon = period_of(now.rows[0][0]) - retention_ms // (DAY_S * 1000)
    oldest = min(horizon, period_of(rows.rows[0][0])) if rows.rows else horizon
    return max(0, oldest - MARGIN_DAYS)


def period_of(moment: datetime) -> int:
    """The day of a moment, counted from 1970."""
    return int(moment.astimezone(UTC).timestamp() // DAY_S)
