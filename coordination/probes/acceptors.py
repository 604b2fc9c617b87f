"""The acceptors of the registers' quorum: which of them count, and is that a majority?"""

from collections.abc import Iterator

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004

from coordination.consensus import admitting
from coordination.consensus.stores import quorum
from coordination.probes import Probe

DEADLINE_MS = 2_000
HINT = (
    "manage.py concord acceptors tells of each what it lacks: --found lets all begin, --admit one "
    "that lost its memory."
)


def probe() -> Probe:
    """Ask each who it is, and whether what it keeps lasts."""
    told = admitting.describe(quorum(), deadline_ms=DEADLINE_MS)
    counting = sum(counts for _, counts, _ in told)
    words = [alias if counts else f"{alias} ({detail})" for alias, counts, detail in told]
    return Probe(
        name="acceptors",
        answered=True,
        detail=f"{counting} of {len(told)} count: {', '.join(words)}",
        messages=tuple(_judged(told, counting)),
    )


def _judged(told: list[tuple[str, bool, str]], counting: int) -> Iterator[CheckMessage]:
    if counting <= len(told) // 2:
        yield Error(
            f"Only {counting} of {len(told)} acceptors count: no register can be decided.",
            hint=HINT,
            id="concord.E140",
        )
    for alias, counts, detail in told:
        if not counts:
            yield Warning(
                f"Acceptor {alias!r} does not count: {detail}.", hint=HINT, id="concord.W141"
            )
