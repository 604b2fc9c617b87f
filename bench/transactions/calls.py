"""One distributed transaction of Concord, by its public API."""

from collections.abc import Iterator, Sequence

from coordination import distributed_transaction

DEADLINE_S = 30
"""Far beyond any latency here, so that the start of the workers aborts nothing."""


class Concord:
    """Begins a transaction of these participants and waits for its decision."""

    def __init__(self, participants: Sequence[str], rows: Iterator[int], **options: str) -> None:
        self._participants = participants
        self._rows = rows
        self._options = options

    def __call__(self) -> None:
        row = next(self._rows)
        with distributed_transaction("bench", deadline=DEADLINE_S, **self._options) as tx:
            for participant in self._participants:
                tx.enlist(participant, row=row)
