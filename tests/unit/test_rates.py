"""Roll-ups of events into buckets of time."""

from hypothesis import given

from coordination.kernel.events import Event
from coordination.transactions.projection import Record, apply
from coordination.transactions.rates import Bucket, bucket_of, count
from tests.unit.transaction_histories import START, histories, two_branches


def facts(events: list[Event]) -> list[tuple[Event, Record]]:
    record, found = None, []
    for event in events:
        record = apply(record, event)
        found.append((event, record))
    return found


def test_times_are_counted_where_they_end():
    history = two_branches().voted(1, "yes").voted(2, "yes").decided("committed", at_s=6)
    history.add("branch.finished", at_s=6.1, seq=1, actual="committed", reason="")
    history.add("branch.finished", at_s=6.2, seq=2, actual="committed", reason="")
    history.add("transaction.ended", at_s=6.25, outcome="committed", heuristic="")
    buckets = count(facts(history.events))
    later = START.replace(second=5)

    assert {START, later} == set(buckets)
    assert buckets[START] == Bucket(begun=1)
    assert buckets[later] == Bucket(
        committed=1,
        ended=1,
        decide_ms_sum=6000,
        decide_ms_max=6000,
        window_ms_sum=250,
        window_ms_max=250,
    )


@given(histories())
def test_every_transaction_is_begun_decided_and_ended_once(events: list[Event]):
    buckets = count(facts(events)).values()

    assert sum(b.begun for b in buckets) == 1
    assert sum(b.committed + b.aborted for b in buckets) == 1
    assert sum(b.ended for b in buckets) == 1


def test_a_bucket_starts_at_a_multiple_of_five_seconds():
    assert bucket_of(START.replace(second=59, microsecond=7)) == START.replace(second=55)
