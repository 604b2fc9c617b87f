"""What database stores of queues are told and say, as values."""

import json
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from coordination.exceptions import QueueFull, QueuePaused
from coordination.queues import declaring
from coordination.queues.tables import Stage
from coordination.queues.types import (
    Declaration,
    Outgoing,
    Published,
    Seen,
    Settlement,
    State,
    Stats,
    Swept,
    Taken,
    Totals,
    Verb,
    moment,
)

SEQ_DIGITS_MAX = 18
LINES = 12
"""Of a taken message, as `concord_queue_reserve` writes them."""

STAGES = {
    # One range: the primary key has them in order.
    State.READY: f"m.stage < {Stage.TAKEN} AND m.stage <> {Stage.DELAYED}",
    State.DELAYED: f"m.stage = {Stage.DELAYED}",
    State.IN_FLIGHT: f"m.stage = {Stage.TAKEN}",
}
PEEKED = (
    "m.message, m.sort, m.attempts, m.priority, m.grp, m.published_us, m.expires_us, m.source, "
    "m.error, m.headers, m.body"
)
WORDS = (
    *("published", "acked", "dead", "expired", "purged", "moved_in", "moved_out", "redriven"),
    *("delivered", "lapsed"),
)


def _count(*stages: Stage, queue: str = "q") -> str:
    some = ", ".join(str(stage.value) for stage in stages)
    return (
        f"(SELECT count(*) FROM concord_queue_message m WHERE m.queue_id = {queue}.id "  # noqa: S608
        f"AND m.stage IN ({some}))"
    )


def _oldest(sort: int) -> str:
    # The first of one priority, or of the suspects: an index tells.
    return (
        "(SELECT m.published_us FROM concord_queue_message m WHERE m.queue_id = q.id "  # noqa: S608
        f"AND m.stage = 0 AND m.sort = {sort} ORDER BY m.seq LIMIT 1)"
    )


COUNTED = ",\n".join(
    [
        _count(Stage.READY, Stage.ARRIVED, Stage.BEHIND),
        _count(Stage.ARRIVED, Stage.BEHIND),
        _count(Stage.DELAYED),
        _count(Stage.TAKEN),
        _count(*Stage, queue="d"),
        *(_oldest(sort) for sort in range(-1, 10)),
        *(
            f"(SELECT coalesce(sum(t.{word}), 0) FROM concord_queue_tally t "  # noqa: S608
            "WHERE t.queue_id = q.id)"
            for word in WORDS
        ),
    ]
)
"""Of a queue `q` and its dead letters `d`, all at one moment, since it is one statement."""


def storable(given: str) -> str:
    """JSON without what PostgreSQL's jsonb refuses: NUL, and halves of a surrogate pair."""
    if "\\u" not in given:
        return given
    whole = json.dumps(json.loads(given), ensure_ascii=False)
    return whole.replace("\\u0000", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def columns(batch: Sequence[Outgoing]) -> tuple[str, ...]:
    """A batch as `concord_queue_publish` takes it: a text of lines for each field, '' for none."""

    def lines(values: list[str], default: str) -> str:
        return "" if all(value == default for value in values) else "\n".join(values)

    return (
        "\n".join(each.id for each in batch),
        lines([each.headers for each in batch], "{}"),
        "\n".join(each.body for each in batch),
        lines([str(each.priority) for each in batch], "0"),
        lines([str(each.delay_ms * 1000) for each in batch], "0"),
        lines([str(each.due_us) for each in batch], "0"),
        lines([str(each.expires_ms * 1000) for each in batch], "0"),
        lines([each.group for each in batch], ""),
        lines([each.dedup for each in batch], ""),
    )


def published(
    answer: str, batch: Sequence[Outgoing], *, queue: Declaration, store: str
) -> list[Published]:
    """What became of a batch. Raises QueueFull, QueuePaused."""
    if answer == "ok":
        return [Published(each.id) for each in batch]
    if answer == "full":
        raise full(queue, store=store)
    if answer == "paused":
        raise QueuePaused(
            f"Queue {queue.name!r}: publishing is paused; nothing was published.",
            name=queue.name,
            store=store,
        )
    ids = answer.split(" ")[1:]
    return [Published(id_, id_ != each.id) for id_, each in zip(ids, batch, strict=True)]


def full(queue: Declaration, *, store: str) -> QueueFull:
    """It would hold more than it may."""
    return QueueFull(
        f"Queue {queue.name!r} holds {queue.max_length} messages, its max_length, or would "
        "hold more; nothing was published.",
        name=queue.name,
        store=store,
    )


def taken(lines: str | None, op: str) -> list[Taken]:
    """Messages in the order of the SQL function's lines."""
    if lines is None:
        return []
    all_ = lines.split("\n")
    return [_taken(all_[start : start + LINES], op=op) for start in range(0, len(all_), LINES)]


def _taken(line: Sequence[str], *, op: str) -> Taken:
    seq, id_, attempts, priority, at, expires, suspect, group, source, error, headers, body = line
    return Taken(
        id_,
        f"{attempts}.{op}.{seq}.{id_}",
        int(attempts),
        body,
        headers,
        int(at),
        int(priority),
        group,
        int(expires),
        suspect == "1",
        source,
        said(error),
    )


def packed_error(error: str) -> str:
    """An error on one line."""
    return json.dumps(error) if error else ""


def said(packed: str) -> str:
    """An error as it was told."""
    return str(json.loads(packed)) if packed else ""


class Asked:
    """Receipts of one call in the order of their rows, which two calls lock in the same order."""

    def __init__(self, receipts: Sequence[str]) -> None:
        self._first: dict[str, int] = {}
        """Each receipt → where it comes first: the same one twice is settled once."""
        for index, receipt in enumerate(receipts):
            self._first.setdefault(receipt, index)
        self._count = len(receipts)
        proofs = {receipt: proof(receipt) for receipt in self._first}
        self._order = sorted(self._first, key=lambda receipt: proofs[receipt][0])
        seqs = [proofs[receipt][0] for receipt in self._order]
        self._each_seq_once = len(set(seqs)) == len(seqs)
        self.columns = (
            "\n".join(receipt.replace("\n", " ") for receipt in self._order),
            "\n".join(map(str, seqs)),
            "\n".join(proofs[receipt][1].replace("\n", " ") for receipt in self._order),
        )
        """Receipts, and the sequence number and the id in each."""

    def verbs(self, batch: Sequence[Settlement]) -> tuple[str, str, str]:
        """What becomes of each: verbs, delays in microseconds, errors."""
        if self._each_seq_once and all(each.verb is Verb.ACK for each in batch):
            return "", "", ""
        asked = [batch[self._first[receipt]] for receipt in self._order]
        return (
            "\n".join(each.verb.value for each in asked),
            "\n".join(str(each.delay_ms * 1000) for each in asked),
            "\n".join(packed_error(each.error) for each in asked) or "\n",
        )

    def answers(self, digits: str) -> list[bool]:
        """By the digits that came of them, in the order of the call."""
        answers = [False] * self._count
        for receipt, digit in zip(self._order, digits, strict=True):
            answers[self._first[receipt]] = digit == "1"
        return answers


def proof(receipt: str) -> tuple[int, str]:
    """The sequence number and the id in a receipt; 0, which none has, where it has none."""
    _attempts, _, rest = receipt.partition(".")
    _op, _, place = rest.partition(".")
    seq, _, id_ = place.partition(".")
    known = seq.isascii() and seq.isdecimal() and len(seq) <= SEQ_DIGITS_MAX
    return (int(seq), id_) if known else (0, place)


def seen(row: Sequence[Any], state: State) -> Seen:
    """A message by `PEEKED`."""
    id_, sort, attempts, priority, group, at, expires, source, error, headers, body = row
    return Seen(
        id=id_,
        state=state,
        body=json.loads(body),
        headers=json.loads(headers),
        attempts=int(attempts),
        priority=int(priority),
        group=group or None,
        published_at=moment(int(at)),
        at=None if state is State.READY else moment(int(sort)),
        expires_at=moment(int(expires)) if int(expires) else None,
        source=source or None,
        error=said(error) or None,
    )


def swept(answer: str, *, to: Declaration, store: str) -> Swept:
    """What one step came to. Raises QueueFull."""
    if answer == "full":
        raise full(to, store=store)
    done, _, cursor = answer.partition(" ")
    return Swept(int(done), cursor or None)


def stats(row: Sequence[Any], queue: Declaration, *, store: str) -> Stats:
    """Of the clock, the row of the queue, and `COUNTED`."""
    now, declaration, publishing, consuming, *rest = row
    ready, grouped, delayed, in_flight, dead = (int(each) for each in rest[:5])
    ages = [int(now) - int(at) for at in rest[5:16] if at is not None]
    totals = dict(zip(WORDS, (int(each) for each in rest[16:]), strict=True))
    return Stats(
        name=queue.name,
        store=store,
        at=moment(int(now)),
        ready=ready,
        delayed=delayed,
        in_flight=in_flight,
        dead=dead,
        grouped=grouped,
        oldest_age=max(0, *ages) / 1e6 if ages else None,
        publishing_paused=bool(int(publishing)),
        consuming_paused=bool(int(consuming)),
        totals=Totals(**totals),
        declaration=declaring.of_fields(queue.name, json.loads(declaration)),
        extra=MappingProxyType({"messages": ready + delayed + in_flight}),
    )
