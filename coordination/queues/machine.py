"""What becomes of a message that was taken: the one rule, for every store. Pure.

`stores/*.lua` and SQL say of lapsed leases what `after_lapse` says; everything else is decided here
by who settles, from the attempts in the receipt.
"""

import re

from coordination.exceptions import InvalidArgument
from coordination.kernel.backoff import backoff_ms
from coordination.queues.types import Declaration, Settlement, Verb

ERROR_LENGTH_MAX = 500
_RECEIPT = re.compile(r"([0-9]{1,9})\.[!-~]{1,400}")


def after_failure(
    declared: Declaration,
    receipt: str,
    *,
    error: str = "",
    delay_ms: int | None = None,
    base_ms: int,
    cap_ms: int,
    uniform: float,
) -> Settlement:
    """How a failed attempt is settled: tried again after a pause, or dead.

    Args:
        declared: the queue.
        receipt: of the delivery that failed.
        error: what went wrong.
        delay_ms: the pause that its handler asked for; None: it grows with each attempt.
        base_ms: the pause after the first attempt.
        cap_ms: the longest pause.
        uniform: a number in [0, 1) from the caller's source of randomness.
    """
    attempts = attempts_of(receipt)
    pause = delay_ms
    if pause is None:
        pause = backoff_ms(attempts, base_ms=base_ms, cap_ms=cap_ms, uniform=uniform)
    verb = Verb.DEAD if is_last(declared, attempts) else Verb.RETRY
    return Settlement(receipt, verb, pause, error[:ERROR_LENGTH_MAX])


def after_rejection(
    declared: Declaration, receipt: str, *, error: str = "", cap_ms: int
) -> Settlement:
    """How a message is settled of which its handler knows that no attempt will help."""
    verb = Verb.RETRY if declared.dead_letter is None else Verb.DEAD
    return Settlement(receipt, verb, cap_ms, error[:ERROR_LENGTH_MAX])


def after_lapse(declared: Declaration, attempts: int) -> Verb:
    """What a store does with a message whose lease ended without a word.

    It may have killed its taker: a store delivers one that comes back (RETRY) alone, as a suspect,
    so that it takes no other message with it the next time.
    """
    return Verb.DEAD if is_last(declared, attempts) else Verb.RETRY


def is_last(declared: Declaration, attempts: int) -> bool:
    """Whether a message that failed this often is a dead letter."""
    return declared.dead_letter is not None and attempts >= declared.max_attempts


def attempts_of(receipt: str) -> int:
    """How often the message had been taken, this time included. Raises InvalidArgument."""
    found = _RECEIPT.fullmatch(receipt) if isinstance(receipt, str) else None
    if found is None:
        raise InvalidArgument(f"This is no receipt: {receipt!r:.80}.")
    return int(found[1])
