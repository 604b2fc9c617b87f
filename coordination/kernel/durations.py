"""Seconds of the public API to the integer milliseconds used inside."""

from datetime import timedelta

from coordination.exceptions import InvalidArgument

DURATION_MS_MAX = 2**53 - 1


def to_ms(duration: object, *, what: str, zero: bool = False) -> int:
    """Return a duration in whole milliseconds; a positive one is never rounded down to 0.

    Args:
        duration: seconds (int or float) or a timedelta.
        what: the argument's name, for the error.
        zero: whether 0 is allowed.

    Raises:
        InvalidArgument: not a number or timedelta, NaN, infinite, negative, too long, or a 0
            that is not allowed.
    """
    if isinstance(duration, timedelta):
        seconds: float = duration.total_seconds()
    elif isinstance(duration, int | float) and not isinstance(duration, bool):
        seconds = duration
    else:
        raise InvalidArgument(
            f"{what} must be seconds or a timedelta, not {type(duration).__name__}: {duration!r}."
        )
    # Written so that NaN fails it too, and an int too large for a float is only compared.
    if not abs(seconds) <= DURATION_MS_MAX // 1000:
        raise InvalidArgument(f"{what} must be a finite number of seconds, not {duration!r:.40}.")
    if seconds < 0 or (seconds == 0 and not zero):
        least = "0 or more" if zero else "more than 0"
        raise InvalidArgument(f"{what} must be {least} seconds, not {duration!r}.")
    return max(1, round(seconds * 1000)) if seconds > 0 else 0
