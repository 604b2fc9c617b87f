"""Publishing at once."""

from collections.abc import Sequence

from coordination.locks.repeating import repeated
from coordination.queues.store import QueueStore
from coordination.queues.types import Declaration, Outgoing, Published


def send(
    store: QueueStore,
    declared: Declaration,
    batch: Sequence[Outgoing],
    *,
    op: str,
    kept_ms: int,
    content: str = "",
) -> list[Published]:
    """Publish at once, and ask again when the answer was lost."""
    return repeated(
        lambda deadline_ms: store.publish(
            declared, batch, op=op, kept_ms=kept_ms, content=content, deadline_ms=deadline_ms
        ),
        deadline_ms=store.deadline_ms,
    )
