"""One channel: requests answered in order, publications confirmed, deliveries passed on.

py-amqp encodes and decodes; its own channel is not used, since it waits for replies by reading the
connection, with no deadline.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from amqp import Channel as Codec
from amqp import spec
from amqp.basic_message import Message
from amqp.serialization import dumps, loads

from coordination.connections.rabbitmq_answers import Answer
from coordination.connections.rabbitmq_errors import RabbitMQLost, RabbitMQRefused

if TYPE_CHECKING:
    from coordination.connections.rabbitmq_wire import Wire

PERSISTENT = 2
_FORMS: Mapping[tuple[int, int], str | None] = {
    method: found.args
    for method, found in Codec._METHODS.items()  # type: ignore[attr-defined]
}


class Envelope(NamedTuple):
    """A message as it is published."""

    key: str
    id: str
    body: str | bytes
    headers: Mapping[str, Any]


class Arrived(NamedTuple):
    """A message as it was delivered."""

    tag: int
    id: str
    body: str
    headers: Mapping[str, Any]


class Verdict(Enum):
    """What the server says of a publication."""

    CONFIRMED = "confirmed"
    REFUSED = "refused"
    """A queue would not take it: it is full."""
    UNROUTABLE = "unroutable"


class _Batch:
    """Publications that are confirmed together."""

    __slots__ = ("answer", "left", "verdicts")

    def __init__(self, count: int, verdicts: list[Verdict | None]) -> None:
        self.answer = Answer()
        self.left = count
        self.verdicts = verdicts


class Channel:
    """Lives in the thread of its connection."""

    def __init__(self, wire: Wire, number: int) -> None:
        self.number = number
        self.open = True
        self.delivered: Callable[[Arrived], None] = lambda _: None
        self.closed: Callable[[], None] = lambda: None
        """Is called once when deliveries end: the server closed it, or the connection was lost."""
        self.refused_at: float | None = None
        """When a queue first refused what was published here, by the monotonic clock."""
        self._wire = wire
        self._retired = False
        self._asked: deque[Answer] = deque()
        self._tags = itertools.count(1)
        self._unconfirmed: dict[int, tuple[_Batch, int, str]] = {}
        self._returned: set[str] = set()

    def ask(self, method: tuple[int, int], form: str, *args: Any) -> Answer:
        """Send a request; its answer is the reply's values."""
        answer = Answer()
        if not self.open:
            answer.give(error=RabbitMQLost("the channel is closed"))
            return answer
        self._asked.append(answer)
        self.send(method, form, *args)
        return answer

    def send(self, method: tuple[int, int], form: str, *args: Any) -> None:
        """Send what has no reply."""
        if self.open:
            self._wire.write(self.number, method, dumps(form, args), None)

    def open_it(self) -> Answer:
        return self.ask(spec.Channel.Open, "s", "")

    def confirm(self) -> Answer:
        """From now on publications are confirmed."""
        return self.ask(spec.Confirm.Select, "b", False)

    def close_it(self) -> Answer:
        """What was delivered and not settled goes back."""
        return self.ask(spec.Channel.Close, "BsBB", 0, "", 0, 0)

    def retire(self) -> None:
        """Close it when the last of its publications is confirmed."""
        self._retired = True
        self._close_if_over()

    def declare_exchange(self, name: str, kind: str) -> Answer:
        durable = (False, True, False, False, False)
        return self.ask(spec.Exchange.Declare, "BssbbbbbF", 0, name, kind, *durable, {})

    def declare(self, queue: str, arguments: Mapping[str, Any]) -> Answer:
        """Its answer: name, messages that are ready, consumers."""
        durable = (False, True, False, False, False)
        return self.ask(spec.Queue.Declare, "BsbbbbbF", 0, queue, *durable, arguments)

    def look(self, queue: str) -> Answer:
        """As `declare`, of a queue that is there."""
        passive = (True, False, False, False, False)
        return self.ask(spec.Queue.Declare, "BsbbbbbF", 0, queue, *passive, {})

    def bind(self, queue: str, exchange: str, key: str) -> Answer:
        return self.ask(spec.Queue.Bind, "BsssbF", 0, queue, exchange, key, False, {})

    def unbind(self, queue: str, exchange: str, key: str) -> Answer:
        return self.ask(spec.Queue.Unbind, "BsssF", 0, queue, exchange, key, {})

    def limit(self, count: int) -> Answer:
        """How many unsettled messages the next consumer may have."""
        return self.ask(spec.Basic.Qos, "lBb", 0, count, False)

    def consume(self, queue: str, tag: str) -> Answer:
        no = (False, False, False, False)
        return self.ask(spec.Basic.Consume, "BssbbbbF", 0, queue, tag, *no, {})

    def cancel(self, tag: str) -> Answer:
        return self.ask(spec.Basic.Cancel, "sb", tag, False)

    def get(self, queue: str) -> Answer:
        """One message: an `Arrived`, or None."""
        return self.ask(spec.Basic.Get, "Bsb", 0, queue, False)

    def ack(self, tag: int, *, multiple: bool = False) -> None:
        self.send(spec.Basic.Ack, "Lb", tag, multiple)

    def give_back(self, tag: int) -> None:
        self.send(spec.Basic.Reject, "Lb", tag, True)

    def publish(
        self, exchange: str, envelopes: Sequence[Envelope], verdicts: list[Verdict | None]
    ) -> Answer:
        """Publish all; answered when the server has said of each what became of it.

        `verdicts`, as long as `envelopes`, is filled as it does, and tells of those it had said
        something of when the connection is lost.
        """
        batch = _Batch(len(envelopes), verdicts)
        if not envelopes or not self.open:
            batch.answer.give(error=None if self.open else RabbitMQLost("the channel is closed"))
            return batch.answer
        forms: dict[str, bytes] = {}
        for index, each in enumerate(envelopes):
            if (args := forms.get(each.key)) is None:
                args = dumps("Bssbb", (0, exchange, each.key, True, False))
                forms[each.key] = args
            body = each.body.encode() if isinstance(each.body, str) else each.body
            content = Message(
                body,
                content_type="application/json",
                application_headers=each.headers,
                delivery_mode=PERSISTENT,
                message_id=each.id,
            )
            self._unconfirmed[next(self._tags)] = (batch, index, each.id)
            self._wire.write(self.number, spec.Basic.Publish, args, content)
        return batch.answer

    # What py-amqp's connection calls.

    def dispatch_method(self, method: tuple[int, int], payload: bytes, content: Any) -> None:
        """One method has come, whole."""
        form = _FORMS[method]
        values = loads(form, payload, 4)[0] if form else []
        if (heard := _HEARD.get(method)) is not None:
            heard(self, values, content)
        elif self._asked:
            self._asked.popleft().give(values)

    def collect(self) -> None:
        """The connection is closed."""
        self.end(RabbitMQLost("the connection was lost"))

    def end(self, error: Exception) -> None:
        """Nothing will be answered any more."""
        if not self.open:
            return
        self.open = False
        self._wire.forget(self)
        asked, self._asked = self._asked, deque()
        unconfirmed, self._unconfirmed = self._unconfirmed, {}
        self.closed()
        for answer in asked:
            answer.give(error=error)
        for batch, _, _ in unconfirmed.values():
            batch.answer.give(error=error)

    def _on_deliver(self, values: list[Any], content: Any) -> None:
        self.delivered(_arrived(values[1], content))

    def _on_got(self, values: list[Any], content: Any) -> None:
        self._asked.popleft().give(_arrived(values[0], content))

    def _on_got_none(self, _values: list[Any], _content: Any) -> None:
        self._asked.popleft().give(None)

    def _on_close(self, values: list[Any], _content: Any) -> None:
        code, text = values[:2]
        self._wire.write(self.number, spec.Channel.CloseOk, b"", None)
        self.end(RabbitMQRefused(code, text))

    def _on_closed(self, _values: list[Any], _content: Any) -> None:
        answer = self._asked.popleft() if self._asked else None
        self.end(RabbitMQLost("the channel was closed"))
        if answer is not None:
            answer.give()

    def _on_cancel(self, _values: list[Any], _content: Any) -> None:
        # Its queue is gone, or its node: whoever wants more asks anew.
        self.close_it()
        self.closed()

    def _on_return(self, _values: list[Any], content: Any) -> None:
        self._returned.add(content.properties.get("message_id", ""))

    def _on_ack(self, values: list[Any], _content: Any) -> None:
        self._said(values[0], values[1], Verdict.CONFIRMED)

    def _on_nack(self, values: list[Any], _content: Any) -> None:
        self._said(values[0], values[1], Verdict.REFUSED)

    def _close_if_over(self) -> None:
        if self._retired and not self._unconfirmed and self.open:
            self._retired = False
            self.close_it()

    def _said(self, tag: int, multiple: bool, verdict: Verdict) -> None:
        if not multiple:
            self._settled(tag, verdict)
            return
        for each in list(itertools.takewhile(lambda number: number <= tag, self._unconfirmed)):
            self._settled(each, verdict)

    def _settled(self, tag: int, verdict: Verdict) -> None:
        found = self._unconfirmed.pop(tag, None)
        if found is None:
            return
        batch, index, id_ = found
        # What has no queue is returned first, and confirmed then.
        if id_ in self._returned:
            self._returned.discard(id_)
            verdict = Verdict.UNROUTABLE
        batch.verdicts[index] = verdict
        batch.left -= 1
        if verdict is Verdict.REFUSED and self.refused_at is None:
            self.refused_at = time.monotonic()
        if batch.left == 0:
            batch.answer.give(batch.verdicts)
        self._close_if_over()


_HEARD: dict[tuple[int, int], Callable[[Channel, list[Any], Any], None]] = {
    spec.Basic.Deliver: Channel._on_deliver,
    spec.Basic.GetOk: Channel._on_got,
    spec.Basic.GetEmpty: Channel._on_got_none,
    spec.Basic.Return: Channel._on_return,
    spec.Basic.Ack: Channel._on_ack,
    spec.Basic.Nack: Channel._on_nack,
    spec.Basic.Cancel: Channel._on_cancel,
    spec.Channel.Close: Channel._on_close,
    spec.Channel.CloseOk: Channel._on_closed,
}


def _arrived(tag: int, content: Any) -> Arrived:
    properties, body = content.properties, content.body
    return Arrived(
        tag,
        properties.get("message_id", ""),
        body.decode(errors="replace") if isinstance(body, bytes) else body,
        properties.get("application_headers") or {},
    )
