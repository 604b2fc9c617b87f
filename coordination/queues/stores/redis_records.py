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
    proofs = [proof(each.receipt) for each in batch]
    proven = proofs[0][1]
    if proven.startswith("1\n") and all(each[1] == proven for each in proofs):
        ids = ",".join([f'"{id_}"' for id_, _ in proofs])
        # An id of ours holds neither; what somebody made up does not tell where it ends.
        if ids.count('"') == 2 * len(proofs) and ids.count(",") == len(proofs) - 1:
            return ["block", dead, len(proofs), proven[2:], ids]
    return ["acks", dead, *chain.from_iterable(proofs)]


def taken(reply: Sequence[Any], op: str) -> list[Taken]:
    """Of `reserve.lua`: blocks, or five values a message, behind the first two."""
    if len(reply) > _HEADS and reply[2] == b"block":
        return list(_of_blocks(reply[_HEADS], reply[_HEADS + 1 :], op))
    return [_taken(*reply[start : start + 5], op=op) for start in range(2, len(reply), 5)]


def _of_blocks(heads: bytes, blocks: Sequence[bytes], op: str) -> Iterator[Taken]:
    proven = f"1.{op}."
    for head, block in zip(heads.split(b"\n"), blocks, strict=True):
        at = int(head.split(b" ", 2)[1])
        lines = iter(block.decode().split("\n"))
        # The last line is empty: each ends with its newline.
        while id_ := next(lines):
            headers = next(lines)
            yield Taken(id_, proven + id_, 1, next(lines), headers, at)


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
    counted = {word: int(config.get(word, 0)) for word in _COUNTED}
    came = int(config.get("s", 0))
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
        totals=Totals(
            # Whatever came into the queue has a number of its sequence.
            published=came - counted["moved_in"] - counted["redriven"],
            delivered=int(config.get("delivered", 0)),
            lapsed=int(config.get("lapsed", 0)),
            **counted,
        ),
        declaration=declaration(config["d"], queue.name) if "d" in config else queue,
        # What has lost its place is in none of the states.
        extra=MappingProxyType({"messages": held}),
    )


def declaration(text: str, name: str) -> Declaration:
    """As it is kept."""
    fields: Mapping[str, Any] = json.loads(text)
    return declaring.of_fields(name, fields)
