"""What a waiter may rely on of a message that says that the lock is his."""

from coordination.locks.stores.redis_claims import handed
from coordination.locks.taken import Asked, Taken
from coordination.locks.types import Waiting

ANSWERED_US = 1_800_000_000_000_000
CLAIM_US = 1_500_000


def message(*, after_us: int) -> bytes:
    """Published so long after the last answer, by the clock of Redis."""
    at = ANSWERED_US + after_us
    return b"%d %d %d %d  0" % (at, at, at + CLAIM_US, at)


def believed(told: bytes, *, now: float, asked_at: float = 100.0) -> Taken | None:
    asked = Asked(Waiting(place=1, look_again_ms=1_000, now_us=ANSWERED_US), asked_at)
    return handed(told, asked, now=now)


def test_a_lease_is_counted_from_before_the_message_was_sent() -> None:
    taken = believed(message(after_us=300_000), now=100.5)

    assert taken is not None
    assert taken.sent_at == 100.3
    assert taken.held.until_us - taken.held.now_us == CLAIM_US


def test_a_message_that_was_long_under_way_is_not_believed() -> None:
    assert believed(message(after_us=300_000), now=101.2) is not None
    assert believed(message(after_us=300_000), now=101.4) is None


def test_a_clock_of_redis_that_was_set_forward_makes_no_lease_longer() -> None:
    taken = believed(message(after_us=3_600_000_000), now=100.5)

    assert taken is not None
    assert taken.sent_at == 100.5


def test_a_message_from_before_the_last_answer_is_not_believed() -> None:
    assert believed(message(after_us=-1), now=100.5) is None
    assert believed(message(after_us=0), now=100.5) is None


def test_a_ring_that_says_nothing_is_asked_about() -> None:
    assert believed(b"", now=100.5) is None
