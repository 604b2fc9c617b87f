"""What becomes of a failed attempt, and who says what a queue is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordination.exceptions import InvalidArgument
from coordination.queues import declaring, machine
from coordination.queues.types import Declaration, Verb

DEFAULTS = {"visibility_ms": 30_000, "max_attempts": 3}
QUEUE = declaring.first("emails", {}, defaults=DEFAULTS)
FOR_EVER = declaring.first("emails.dlq", {}, defaults=DEFAULTS)


@given(attempts=st.integers(1, 100), uniform=st.floats(0, 1, exclude_max=True))
def test_the_last_attempt_and_no_other_makes_a_dead_letter(attempts: int, uniform: float) -> None:
    settled = machine.after_failure(
        QUEUE, f"{attempts}.op.id", base_ms=1_000, cap_ms=60_000, uniform=uniform
    )
    assert (settled.verb is Verb.DEAD) == (attempts >= 3)
    assert 500 <= settled.delay_ms <= 60_000
    assert (machine.after_lapse(QUEUE, attempts) is Verb.DEAD) == (attempts >= 3)


@given(attempts=st.integers(1, 10_000))
def test_where_there_are_no_dead_letters_none_dies(attempts: int) -> None:
    receipt = f"{attempts}.op.id"
    failed = machine.after_failure(FOR_EVER, receipt, base_ms=1, cap_ms=10, uniform=0.5)
    assert failed.verb is machine.after_lapse(FOR_EVER, attempts) is Verb.RETRY
    rejected = machine.after_rejection(FOR_EVER, receipt, cap_ms=10)
    assert (rejected.verb, rejected.delay_ms) == (Verb.RETRY, 10)


def test_a_pause_that_was_asked_for_is_kept() -> None:
    settled = machine.after_failure(
        QUEUE, "1.op.id", error="x" * 1_000, delay_ms=7, base_ms=1_000, cap_ms=1_000, uniform=0
    )
    assert settled == ("1.op.id", Verb.RETRY, 7, "x" * machine.ERROR_LENGTH_MAX)
    assert machine.after_rejection(QUEUE, "1.op.id", cap_ms=1).verb is Verb.DEAD


@pytest.mark.parametrize("receipt", ["", "1", "1.", "x.y.z", "-1.a.b", None, 5])
def test_what_is_no_receipt_has_no_attempts(receipt: str) -> None:
    with pytest.raises(InvalidArgument):
        machine.attempts_of(receipt)


def test_the_first_says_what_a_queue_is_and_others_must_agree() -> None:
    assert (
        Declaration(
            name="emails",
            visibility_ms=30_000,
            max_attempts=3,
            dead_letter="emails.dlq",
            max_length=None,
        )
        == QUEUE
    )
    assert FOR_EVER.dead_letter is None
    assert declaring.agreed(QUEUE, {"max_attempts": 3}, store="redis") is QUEUE
    with pytest.raises(InvalidArgument, match=r"visibility=30, not 5\. Leave visibility out"):
        declaring.agreed(QUEUE, {"visibility_ms": 5_000}, store="redis")
    assert declaring.changed(QUEUE, {"max_length": 5}).max_length == 5


def test_a_declaration_is_kept_and_found_again() -> None:
    fields = declaring.as_fields(QUEUE) | {"of_a_later_version": 1}
    assert declaring.of_fields("emails", fields) == QUEUE
