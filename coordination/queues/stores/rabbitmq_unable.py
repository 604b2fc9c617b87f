"""What RabbitMQ cannot do with the messages of a queue; nothing is sent."""

from __future__ import annotations

from collections.abc import Mapping

from coordination.exceptions import NotSupportedByStore
from coordination.queues.types import Capability, Declaration, Seen, State


class Unable:
    """The verbs of `coordination.queues.store.QueueStore` that are not to be had."""

    alias: str

    def peek(self, queue: Declaration, *, state: State, limit: int) -> list[Seen]:
        """Not to be had."""
        raise self._unable(Capability.PEEK, queue)

    def pick(
        self,
        queue: Declaration,
        message: str,
        *,
        to: Declaration | None,
        op: str,
        died_in: str | None = None,
        said: Mapping[str, str],
        deadline_ms: int | None = None,
    ) -> bool:
        """Not to be had."""
        raise self._unable(Capability.PICK, queue)

    def pause(
        self, queue: Declaration, *, publishing: bool, consuming: bool, said: Mapping[str, str]
    ) -> None:
        """Not to be had."""
        raise self._unable(Capability.PAUSE, queue)

    def _unable(self, capability: Capability, queue: Declaration) -> NotSupportedByStore:
        return NotSupportedByStore(
            f"Store {self.alias!r} cannot {capability} messages of a queue.",
            name=queue.name,
            store=self.alias,
        )
