"""What a transaction publishes and adds: messages by queue and amounts by counter.

One branch a queue and one a counter: two branches of one transaction that lock the same row would
wait for each other. They come behind the participants, in the order of their names, so that two
transactions lock the same counters in the same order, and late.
"""

from collections.abc import Callable, Mapping
from typing import Any

from coordination.counters import participants as counters
from coordination.counters.api import Counter, counter
from coordination.exceptions import InvalidArgument
from coordination.queues import participants as queues
from coordination.queues.api import Queue, queue
from coordination.transactions import plan
from coordination.transactions.plan import Enlisted


class Effects:
    """Those of one transaction, checked as they come; nothing is sent."""

    def __init__(self, gid: str, *, check: Callable[[Enlisted, int], None]) -> None:
        """`check` is told of a branch, and by how many there are more, before it is taken."""
        self._gid = gid
        self._check = check
        self._published: dict[tuple[str, str], dict[str, Any]] = {}
        self._added: dict[tuple[str, str], dict[str, Any]] = {}
        self._branches: dict[tuple[str, str, str], Enlisted] = {}

    @property
    def branches(self) -> list[Enlisted]:
        """One a counter and one a queue, in the order of their names."""
        return [self._branches[key] for key in sorted(self._branches)]

    def __len__(self) -> int:
        return len(self._branches)

    def publish(
        self, to: str | Queue, body: Any, *, using: str | None, options: Mapping[str, Any]
    ) -> str:
        """Add a message; returns its id. Raises as `queue` and `publish`."""
        found = to if isinstance(to, Queue) else queue(to, using=using)
        if found is to and using is not None:
            raise InvalidArgument("using belongs to the queue that is passed.", name=found.name)
        key = (found.name, found.store.alias)
        before = self._published.get(key, {"messages": [], "declared": {}})
        written = {**options, "body": body}
        args = {
            "queue": found.name,
            "using": found.store.alias,
            "declared": before["declared"] | _declared(found),
            "messages": [*before["messages"], written],
        }
        self._take((queues.NAME, *key), args)
        self._published[key] = args
        number = len(before["messages"])
        return queues.message_id(self._gid, queue=key[0], store=key[1], number=number)

    def add(self, to: str | Counter, amount: int, *, options: Mapping[str, Any]) -> None:
        """Add to a counter. Raises as `counter` and `add`, and where it is declared twice."""
        if isinstance(to, Counter) and options:
            raise InvalidArgument("options belong to the counter that is passed.", name=to.name)
        found = to if isinstance(to, Counter) else counter(to, **options)
        _, initial, minimum, maximum, shards = found.rules
        rules = {"initial": initial, "minimum": minimum, "maximum": maximum, "shards": shards}
        key = (found.name, found.store)
        args = {"counter": found.name, "using": found.store, "amount": amount, **rules}
        plan.enlisted(counters.NAME, args)  # of a sum, the wrong amount could not be told
        before = self._added.get(key)
        if before is not None:
            if any(before[word] != rules[word] for word in rules):
                raise InvalidArgument(
                    f"counter {found.name!r} was declared otherwise before in this transaction.",
                    name=found.name,
                )
            args["amount"] += before["amount"]
        self._take((counters.NAME, *key), args)
        self._added[key] = args

    def _take(self, key: tuple[str, str, str], args: Mapping[str, Any]) -> None:
        enlisted = plan.enlisted(key[0], args)
        self._check(enlisted, 0 if key in self._branches else 1)
        self._branches[key] = enlisted


def _declared(found: Queue) -> dict[str, Any]:
    """What was given of it, as `queue` takes it."""
    given = found.given
    if "visibility_ms" in given:
        given["visibility"] = given.pop("visibility_ms") / 1000
    return given
