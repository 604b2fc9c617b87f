"""What came of asking a store for one message by its id."""

from coordination.exceptions import NotSupportedByStore, QueueFull
from coordination.queues.types import Declaration


def picked(
    answer: str, message: str, *, queue: Declaration, to: Declaration | None, store: str
) -> bool:
    """Whether it was there, and nobody's. Raises QueueFull; NotSupportedByStore if it is too far
    behind others that were published together: nothing was done.
    """
    if answer == "full" and to is not None:
        raise QueueFull(
            f"Queue {to.name!r} holds {to.max_length} messages, its max_length; message "
            f"{message!r} stays in {queue.name!r}.",
            name=to.name,
            store=store,
        )
    if answer == "far":
        raise NotSupportedByStore(
            f"Message {message!r} stands too far behind others in queue {queue.name!r} on "
            f"{store!r} to be picked alone.",
            name=queue.name,
            store=store,
        )
    return answer == "1"
