"""How long to wait before trying again."""


def backoff_ms(attempt: int, *, base_ms: int, cap_ms: int, uniform: float) -> int:
    """Return the pause after the given failed attempt, in milliseconds.

    The pause doubles with each attempt up to ``cap_ms``; jitter then takes between half and all
    of it, so that many retriers spread out yet none retries at once.

    Args:
        attempt: how many attempts have failed, from 1.
        base_ms: the pause after the first.
        cap_ms: the longest pause.
        uniform: a number in [0, 1) from the caller's source of randomness.
    """
    # Beyond 2**32 the cap rules; an unbounded shift would build enormous integers.
    full_ms = min(cap_ms, base_ms << min(max(attempt, 1) - 1, 32))
    return round(full_ms / 2 + full_ms / 2 * uniform)
