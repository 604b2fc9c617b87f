"""Moments of queues in every state, for pictures and for whoever looks at every page."""

from coordination.queues.records import MessageRecord, QueueRecord
from coordination.queues.sweeps.tables import SweepState, Verb
from tests.integration.dashboard_queues import (
    ago,
    flow,
    in_flight,
    letter,
    message,
    record,
    step,
    sweep,
)
from tests.integration.dashboard_stories import many, observe

REFUSED = "SMTPRecipientsRefused: 550 no such user"
SLOW = "TimeoutError: smtp-2 did not answer in 10 s"
UNKNOWN = "KeyError: template order_v3 is unknown"


def every_state() -> QueueRecord:
    """Queues in every state on every store; returns one with a past."""
    observe(*many(20))
    emails = record(
        "emails", ready=1_204, in_flight=48, delayed=120, dead=37, oldest_s=4.1, acked=63_508
    )
    rates = {
        emails: (212, 208),
        record("invoices", store="database", ready=318, dead=4, consuming_paused=True): (12, 0),
        record("payout.events", store="database", ready=12, in_flight=16, oldest_s=0.2): (88, 88),
        record("stock.sync", in_flight=8, delayed=40): (140, 141),
        record("search.index", ready=5_480, in_flight=64, oldest_s=38): (310, 190),
        record("thumbnails", in_flight=2): (9, 9),
        record("fraud.score", ready=22, in_flight=12, oldest_s=0.3): (71, 70),
        record("gdpr.erase", store="database", delayed=14, event_at=ago(3_600)): (0, 0),
    }
    for row, (came, acked) in rates.items():
        flow(row, came=came, acked=acked)
    record("sms", store="rabbitmq", counts=False, ready=6, event_at=None)
    record("audit.export", store="database", seen_at=ago(140), ready=1)
    held = "3 messages came and are nowhere: published 1,204, accounted for 1,201"
    record("ledger.feed", ready=3, disputed=held, off=3)
    record("emails.dlq", ready=37, acked=0)
    return emails


def a_past(emails: QueueRecord) -> str:
    """Messages of a queue in every state, and sweeps of it; returns the id of a dead letter."""
    for i, left_s in enumerate((1.9, 4.2, 11.0, 17.5, 22.4, 28.8)):
        in_flight(emails, left_s=left_s, attempts=1 + (i == 1), ago_s=40 - i)
    for i in range(6):
        message(emails, "acked", attempts=1, ago_s=20 - i, ended_at=ago(18 - i))
    message(emails, "waiting", attempts=2, error=SLOW, ago_s=9)
    message(emails, "expired", ended_at=ago(3), ago_s=63)
    message(emails, "waiting", ago_s=2)
    letters = [
        letter(emails, error, attempts=attempts, ago_s=18 * i + 19)
        for i, (error, attempts) in enumerate(
            ((REFUSED, 5), (REFUSED, 5), (SLOW, 5), (REFUSED, 5), (UNKNOWN, 1))
        )
    ]
    sweep(emails, Verb.REDRIVE, SweepState.DONE, done=12, at_most=12, began_at=ago(7_200))
    sweep(emails, Verb.MOVE, SweepState.RUNNING, done=600, at_most=1_204, to="emails.slow")
    return letters[2]


def a_long_life(emails: QueueRecord, letter_id: str) -> None:
    """The life of a dead letter goes on: it was redriven once, and died again."""
    row = MessageRecord.objects.get(message=letter_id, key=emails.key)
    said = {"actor": "m.keller", "reason": "smtp-2 is back, OPS-4410", "source": "emails.dlq"}
    row.life = [
        *(each | {"at": ago(400 - i).isoformat()} for i, each in enumerate(row.life[:-1])),
        step("died", ago_s=300, to="emails.dlq", error=SLOW),
        step("redriven", ago_s=200, **said),
        step("taken", ago_s=190, attempt=1),
        step("lapsed", ago_s=160),
        step("taken", ago_s=120, attempt=2),
        step("died", ago_s=55, to="emails.dlq", error=SLOW),
    ]
    row.save()
