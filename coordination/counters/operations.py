"""What operators may do to counters, always through the public API and recorded by the store.

An operator decides by what a page showed, which is a read model and may be late. To adjust is to
add, so it is right whatever was counted meanwhile. To reset is refused where the value is another
one than was shown: what was counted in between would be lost without a word.
"""

import logging
from dataclasses import dataclass

from coordination.counters.api import Counter, counter
from coordination.exceptions import ConflictError, InvalidArgument
from coordination.intervening.failures import NOTHING_DONE
from coordination.intervening.reasons import require_actor, require_reason

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A counter as its operator saw it, with the rules that its last caller declared."""

    name: str
    store: str
    value: int
    initial: int = 0
    minimum: int | None = None
    maximum: int | None = None
    shards: int = 1

    @property
    def counter(self) -> Counter:
        """The counter itself."""
        return counter(
            self.name,
            initial=self.initial,
            minimum=self.minimum,
            maximum=self.maximum,
            shards=self.shards,
            using=self.store,
        )


def adjust(shown: Shown, amount: int, *, actor: str, reason: str, op_id: str) -> int:
    """Add `amount`, once for `op_id`; returns the new value.

    Raises BoundExceeded, StoreUnavailable (nothing was added), OutcomeUnknown (the same `op_id`
    again tells), InvalidArgument for a zero or without a reason of at least ten characters.
    """
    require_actor(actor)
    require_reason(reason)
    if amount == 0:
        raise InvalidArgument(f"To adjust by 0 changes nothing. {NOTHING_DONE}", name=shown.name)
    value = shown.counter.adjust(amount, actor=actor, reason=reason, op_id=op_id)
    logger.info("counter %s adjusted by %s to %s by %s", shown.name, amount, value, actor)
    return value


def reset(shown: Shown, *, actor: str, reason: str, op_id: str) -> int:
    """Write its initial value, once for `op_id`; returns it.

    Raises ConflictError when the value is no longer the one that was shown (of a counter with
    shards, which many change at once, no value is compared), and what `adjust` does.
    """
    require_actor(actor)
    require_reason(reason)
    expected = shown.value if shown.shards == 1 else None
    found = shown.counter
    if not found.reset_from(expected, actor=actor, reason=reason, op_id=op_id):
        raise ConflictError(
            f"It has changed meanwhile: it is no longer {shown.value:,}. {NOTHING_DONE}",
            name=shown.name,
            store=shown.store,
        )
    logger.info("counter %s reset from %s by %s", shown.name, shown.value, actor)
    return shown.initial
