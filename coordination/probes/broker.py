"""The Celery broker: reachable or not."""

from typing import Any

from django.core.checks import Warning  # noqa: A004

from coordination.probes import Probe

CONNECT_S = 4


def probe(app: Any) -> Probe:
    """Open one connection to the broker of a Celery app; never raises for one that is down."""
    with app.connection_for_write(connect_timeout=CONNECT_S) as connection:
        address = connection.as_uri()
        try:
            connection.ensure_connection(max_retries=0, timeout=CONNECT_S)
        except (*connection.connection_errors, OSError) as error:
            reason = str(error) or type(error).__name__
            message = Warning(
                f"The broker {address} does not answer: {reason}",
                hint="Is it running? Is CELERY_BROKER_URL right?",
                id="concord.W129",
            )
            return Probe(name="broker", answered=False, detail=reason, messages=(message,))
    return Probe(name="broker", answered=True, detail=address)
