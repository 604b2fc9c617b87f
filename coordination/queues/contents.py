"""What a call with an op id says: the same op id with something else is refused, not swallowed.

A store keeps a digest of it behind its answer. A call without an op id, which nobody else can make
again, has none.
"""

import hashlib
import json
from collections.abc import Sequence

from coordination.exceptions import InvalidArgument
from coordination.queues.types import Outgoing

_FIELDS = tuple(
    (word, Outgoing._field_defaults.get(word)) for word in Outgoing._fields if word != "id"
)


def content_of(batch: Sequence[Outgoing]) -> str:
    """A digest of a batch, without ids, which follow from the op id; its JSON is canonical."""
    # Without what is as by default, so that an option to come does not change it.
    told = [
        {word: value for word, default in _FIELDS if (value := getattr(each, word)) != default}
        for each in batch
    ]
    return hashlib.blake2b(json.dumps(told).encode(), digest_size=12).hexdigest()


def behind(content: str) -> str:
    """What a store adds to the answer that it keeps."""
    return f"\n{content}" if content else ""


def answered(kept: str, content: str, *, queue: str, store: str) -> str:
    """A store's answer without what was added. Raises InvalidArgument when that is not `content`.

    The answer to the first call itself may be without.
    """
    answer, _, before = kept.partition("\n")
    if before and content and before != content:
        raise other(queue=queue, store=store)
    return answer


def other(*, queue: str, store: str) -> InvalidArgument:
    """The error that tells of something else."""
    return InvalidArgument(
        f"Queue {queue!r}: this op_id was used before for another publication: other messages, or "
        "with other options. Nothing was published.",
        name=queue,
        store=store,
    )
