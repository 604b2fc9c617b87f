"""What the scripts of queues say, as values."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any

from coordination.queues import declaring
from coordination.queues.types import (
    Declaration,
    Outgoing,
    Seen,
    Settlement,
    State,
    Stats,
    Taken,
    Totals,
    Verb,
    moment,
)

_FIELDS = 10
_HEADS = 3
_BLOCK = 64
"""Messages of one block, at most."""
_BLOCK_SIZE_MAX = 256 * 1024
"""Characters of several messages in one block, which is copied whole."""
_COUNTED = ("acked", "dead", "expired", "purged", "moved_in", "moved_out", "redriven")


def is_plain(message: Outgoing) -> bool:
    """Whether it may stand in a block."""
    return not (
        message.priority
        or message.delay_ms
        or message.due_us
        or message.expires_ms
        or message.group
        or message.dedup
    )


def as_blocks(batch: Sequence[Outgoing]) -> Iterator[Any]:
    """Plain messages as `publish.lua` is told of them."""
    yield "block"
    ids: list[str] = []
    lines: list[str] = []
    size = 0
    for each in batch:
        line = f"{each.id}\n{each.headers}\n{each.body}\n"
        if ids and (len(ids) == _BLOCK or size + len(line) > _BLOCK_SIZE_MAX):
            yield from (len(ids), ",".join(ids), "".join(lines))
            ids, lines, size = [], [], 0
        ids.append(f'"{each.id}"')
        lines.append(line)
        size += len(line)
    yield from (len(ids), ",".join(ids), "".join(lines))


def in_full(message: Outgoing) -> tuple[Any, ...]:
    """Any message as `publish.lua` is told of it."""
    return (
        *(message.id, message.priority, message.delay_ms * 1000, message.due_us),
        *(message.expires_ms * 1000, message.group, "1" if message.dedup else ""),
        f"{message.headers}\n{message.body}",
    )


def settlements(batch: Sequence[Settlement], *, dead: str) -> list[Any]:
    """As `settle.lua` is told of them."""
    if not all(each.verb is Verb.ACK for each in batch):
        told: list[Any] = ["full", dead]
        for each in batch:
            error = packed_error(each.error)
            told += (*proof(each.receipt), each.verb, each.delay_ms * 1000, error)
        return told
    first, _, rest = batch[0].receipt.partition(".")
    op = rest.partition(".")[0]
    proven = f"{first}.{op}."
    if first == "1" and all(each.receipt.startswith(proven) for each in batch):
        behind = len(proven)
        ids = ",".join([f'"{each.receipt[behind:]}"' for each in batch])
        # An id of ours holds neither; what somebody made up does not tell where it ends.
        if ids.count('"') == 2 * len(batch) and ids.count(",") == len(batch) - 1:
            return ["block", dead, len(batch), op, ids]
    return ["acks", dead, *chain.from_iterable([proof(each.receipt) for each in batch])]


def taken(reply: Sequence[Any], op: str) -> list[Taken]:
    """Of `reserve.lua`: blocks, or five values a message, behind the first two."""
    if len(reply) > _HEADS and reply[2] == b"block":
        return list(_of_blocks(reply[_HEADS], reply[_HEADS + 1 :], op))
    return [_taken(*reply[start : start + 5], op=op) for start in range(2, len(reply), 5)]


def _of_blocks(heads: bytes, blocks: Sequence[bytes], op: str) -> Iterator[Taken]:
    proven = f"1.{op}."
    for head, block in zip(heads.split(b"\n"), blocks, strict=True):
        at = int(head.split(b" ", 2)[1])
        lines = block.decode().split("\n")
        # Three of each; the last line is empty, since each ends with its newline.
        for id_, headers, body in zip(lines[:-1:3], lines[1::3], lines[2::3], strict=True):
            yield Taken(id_, proven + id_, 1, body, headers, at)


def _taken(
    id_: bytes, attempts: bytes, suspect: bytes, error: bytes, record: bytes, *, op: str
) -> Taken:
    _, at, priority, group, expires, _, source, died_of, headers, body = record.decode().split(
        "\n", _FIELDS - 1
    )
    name, number = id_.decode(), int(attempts)
    return Taken(
        name,
        f"{number}.{op}.{name}",
        number,
        body,
        headers,
        int(at),
        int(priority),
        group,
        int(expires),
        suspect == b"1",
        source,
        said(error.decode() or died_of),
    )


def proof(receipt: str) -> tuple[str, str]:
    """The id of the message, and what its record in `taken` begins with."""
    attempts, _, rest = receipt.partition(".")
    op, _, id_ = rest.partition(".")
    return id_, f"{attempts}\n{op}"


def packed_error(error: str) -> str:
    """An error on one line."""
    return json.dumps(error) if error else ""


def said(packed: str) -> str:
    """An error as it was told."""
    return str(json.loads(packed)) if packed else ""


def seen(reply: Sequence[bytes], state: State) -> Iterator[Seen]:
    """Of `peek.lua`: four values a message."""
    for start in range(0, len(reply), 4):
        id_, score, taking, record = reply[start : start + 4]
        if not record:
            continue
        _, at, priority, group, expires, _, source, died_of, headers, body = record.decode().split(
            "\n", _FIELDS - 1
        )
        attempts, _, _, error = (taking.decode() or "0\n\n0\n").split("\n", 3)
        yield Seen(
            id=id_.decode(),
            state=state,
            body=json.loads(body),
            headers=json.loads(headers),
            attempts=int(attempts),
            priority=int(priority),
            group=group or None,
            published_at=moment(int(at)),
            at=None if state is State.READY else moment(int(float(score))),
            expires_at=moment(int(expires)) if expires != "0" else None,
            source=source or None,
            error=said(error or died_of) or None,
        )


def stats(reply: Sequence[Any], queue: Declaration, *, store: str) -> Stats:
    """Of `stats.lua`."""
    now, held, ready, delayed, in_flight, grouped, dead, oldest, flat = reply
    config = {
        key.decode(): value.decode() for key, value in zip(flat[::2], flat[1::2], strict=True)
    }
    return Stats(
        name=queue.name,
        store=store,
        at=moment(int(now)),
        ready=ready + grouped,
        delayed=delayed,
        in_flight=in_flight,
        dead=dead,
        grouped=grouped,
        oldest_age=max(0, int(now) - int(oldest)) / 1e6 if oldest else None,
        publishing_paused=config.get("pp") == "1",
        consuming_paused=config.get("pc") == "1",
        totals=totals(config),
        declaration=declaration(config["d"], queue.name) if "d" in config else queue,
        # What has lost its place is in none of the states.
        extra=MappingProxyType({"messages": held}),
    )


def totals(config: Mapping[str, str]) -> Totals:
    """Of the hash of a queue."""
    counted = {word: int(config.get(word, 0)) for word in _COUNTED}
    # Whatever came into the queue has a number of its sequence.
    published = int(config.get("s", 0)) - counted["moved_in"] - counted["redriven"]
    return Totals(
        published=published,
        delivered=int(config.get("delivered", 0)),
        lapsed=int(config.get("lapsed", 0)),
        **counted,
    )


def declaration(text: str, name: str) -> Declaration:
    """As it is kept."""
    fields: Mapping[str, Any] = json.loads(text)
    return declaring.of_fields(name, fields)
