"""Commands to a Redis under way on a connection of their own, which nobody has to wait for."""

import time
import weakref
from collections.abc import Callable
from typing import Any

from coordination.connections.redis_errors import RedisReplyError, translate_reply
from coordination.connections.redis_pool import Pool, Wire, WireLost
from coordination.exceptions import CoordinationError


class Sent:
    """Commands that were sent, and replies to come. One thread uses it."""

    def __init__(
        self,
        pool: Pool,
        wire: Wire,
        *,
        number: int,
        alias: str,
        told: Callable[[WireLost], CoordinationError],
    ) -> None:
        """`number` of commands; `told` is the error of a connection that was lost."""
        self.at = time.monotonic()
        # The pool keeps those that nobody waits for, and would keep itself by them.
        self._pool = weakref.ref(pool)
        self._wire = wire
        self._number = number
        self._alias = alias
        self._told = told
        self._replies: list[Any] = []
        self._lost: WireLost | None = None
        self._over = False

    @property
    def is_unsent(self) -> bool:
        """Whether some of the commands waits for room."""
        return self._wire.is_unsent

    def fileno(self) -> int:
        """The socket's."""
        return self._wire.fileno()

    def advance(self) -> bool:
        """Take what has come, without waiting; True once it is over."""
        if self._over:
            return True
        try:
            whole = self._wire.advance(self._replies, self._number)
        except WireLost as lost:
            self._lost = lost
            self.drop()
            return True
        if whole:
            self._over = True
            if (pool := self._pool()) is not None:
                pool.give_back(self._wire)
            else:
                self._wire.close()
        return whole

    def replies(self) -> list[Any]:
        """The replies, those that are errors as values. Raises OutcomeUnknown when it was cut."""
        if self._lost is not None:
            raise self._told(self._lost)
        return [
            translate_reply(each, self._alias)
            if isinstance(each, RedisReplyError) and each.word != "NOSCRIPT"
            else each
            for each in self._replies
        ]

    def leave(self) -> None:
        """Let the replies come when they may; the connection serves again after them."""
        if self._over:
            return
        # Nobody asks any more, and it knows the store, which knows the pool.
        self._told = _unheard
        if (pool := self._pool()) is not None:
            pool.let_finish(self)
        else:
            self.drop()

    def drop(self) -> None:
        """End the connection."""
        self._over = True
        self._wire.close()

    def __del__(self) -> None:
        """Whoever was interrupted before it waited or left ends the connection."""
        if not self._over:
            self.drop()


def _unheard(lost: WireLost) -> CoordinationError:
    return CoordinationError(str(lost))
