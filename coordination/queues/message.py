"""A message as its publisher writes it, and as it is checked before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from coordination import conf
from coordination.exceptions import InvalidArgument, NotSupportedByStore
from coordination.kernel import durations, names, nearest
from coordination.kernel.arguments import json_arguments, json_value
from coordination.queues.types import PRIORITY_MAX, Capability, Outgoing

HEADERS_BYTES_MAX = 16 * 1024
DELAY_MS_MAX = 366 * 86_400_000


@dataclass(frozen=True, slots=True)
class Message:
    """One message of `publish_many`, with the options of `publish`."""

    body: Any
    headers: Mapping[str, Any] | None = None
    priority: int = 0
    delay: float | timedelta = 0
    eta: datetime | None = None
    group: str | None = None
    dedup_id: str | None = None
    expires: float | timedelta | None = None


OPTIONS = tuple(each.name for each in fields(Message))[1:]


def message(body: Any, options: Mapping[str, Any]) -> Message:
    """A message of `publish`. Raises InvalidArgument for an option that there is not."""
    for option in options:
        if option not in OPTIONS:
            raise InvalidArgument(nearest.unknown_message("option", option, OPTIONS))
    return Message(body, **options)


def ids(op: str, count: int) -> list[str]:
    """Ids of the messages of one call: the same ones, if the call is made again."""
    return [op] if count == 1 else [f"{op}-{number}" for number in range(count)]


def checked(
    message: Message, id_: str, *, queue: str, store: str, able: frozenset[Capability]
) -> Outgoing:
    """The message as it is sent.

    Args:
        message: what the publisher wrote.
        id_: its id.
        queue: name of the queue, for errors.
        store: alias of its store, for errors.
        able: what that store can do.

    Raises InvalidArgument, InvalidName; NotSupportedByStore for an option the store has no part in.
    """
    _refuse_unable(message, able, store=store)
    return Outgoing(
        id=id_,
        body=_body(message.body, queue=queue),
        headers=_headers(message.headers, queue=queue),
        priority=_priority(message.priority),
        delay_ms=_delay_ms(message),
        due_us=_due_us(message.eta),
        expires_ms=0 if message.expires is None else _expires_ms(message.expires),
        group=_word(message.group, what="group"),
        dedup=_word(message.dedup_id, what="dedup_id"),
    )


def bare(body: Any, id_: str, *, queue: str) -> Outgoing:
    """A message of nothing but a body. Raises InvalidArgument."""
    return Outgoing(id=id_, body=_body(body, queue=queue), headers="{}")


def _body(body: Any, *, queue: str) -> str:
    limit = conf.current().queues.body_bytes_max
    return json_value(body, what=f"a message for queue {queue!r}", bytes_max=limit)


def _refuse_unable(message: Message, able: frozenset[Capability], *, store: str) -> None:
    asked = {
        Capability.PRIORITY: message.priority != 0,
        Capability.DELAY: message.delay != 0 or message.eta is not None,
        Capability.GROUPS: message.group is not None,
        Capability.DEDUP: message.dedup_id is not None,
        Capability.EXPIRY: message.expires is not None,
    }
    for capability, wanted in asked.items():
        if wanted and capability not in able:
            raise NotSupportedByStore(
                f"Store {store!r} has no {capability} of messages; nothing was published.",
                store=store,
            )


def _headers(headers: object, *, queue: str) -> str:
    if headers is None:
        return "{}"
    if not isinstance(headers, Mapping) or not all(isinstance(key, str) for key in headers):
        raise InvalidArgument(f"headers must be a dict with str keys, not {headers!r:.80}.")
    what = f"headers of a message for queue {queue!r}"
    return json_arguments(headers, what=what, bytes_max=HEADERS_BYTES_MAX)


def _priority(priority: object) -> int:
    whole = isinstance(priority, int) and not isinstance(priority, bool)
    if not isinstance(priority, int) or not whole or not 0 <= priority <= PRIORITY_MAX:
        raise InvalidArgument(
            f"priority must be an int from 0 to {PRIORITY_MAX}, the highest; not {priority!r:.40}."
        )
    return priority


def _delay_ms(message: Message) -> int:
    delay_ms = delayed_ms(message.delay)
    if delay_ms and message.eta is not None:
        raise InvalidArgument("pass delay or eta, not both.")
    return delay_ms


def delayed_ms(delay: object) -> int:
    """A delay in milliseconds. Raises InvalidArgument for what is none, or longer than a year."""
    return _near(durations.to_ms(delay, what="delay", zero=True), what="delay")


def _due_us(eta: object) -> int:
    if eta is None:
        return 0
    if not isinstance(eta, datetime) or eta.tzinfo is None:
        raise InvalidArgument(f"eta must be a datetime with a time zone, not {eta!r:.80}.")
    due_us = (eta - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)
    _near((eta - datetime.now(UTC)) // timedelta(milliseconds=1), what="eta")
    return max(0, due_us)


def _expires_ms(expires: object) -> int:
    return _near(durations.to_ms(expires, what="expires"), what="expires")


def _near(ahead_ms: int, *, what: str) -> int:
    if ahead_ms > DELAY_MS_MAX:
        raise InvalidArgument(f"{what} is more than {DELAY_MS_MAX // 86_400_000} days ahead.")
    return ahead_ms


def _word(word: object, *, what: str) -> str:
    return "" if word is None else names.validate_name(word, what=what)
