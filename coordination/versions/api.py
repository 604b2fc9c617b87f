"""`optimistic`: change a name without a lock, and again when somebody else changed it first."""

import random
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from coordination import registry
from coordination.exceptions import InvalidArgument
from coordination.kernel import names
from coordination.kernel.backoff import backoff_ms
from coordination.versions.attempt import Attempt, Stage
from coordination.versions.stores import version_store

RETRIES_MAX = 10_000
BASE_MS, CAP_MS = 4, 500
"""The pause after a conflict, and how far it grows."""

T = TypeVar("T")


class Attempts:
    """`for attempt in …`: attempts, until one succeeds or the last meets a conflict too."""

    def __init__(self, name: str, *, retries: int, store: str) -> None:
        self.name = name
        self.store = store
        self._retries = retries
        self._versions = version_store(store)

    def __iter__(self) -> Iterator[Attempt]:
        for number in range(1, self._retries + 2):
            if number > 1:
                time.sleep(_pause_s(number - 1))
            last = number > self._retries
            attempt = Attempt(self._versions, self.name, number=number, last=last)
            try:
                yield attempt
                if attempt.stage is Stage.NEW:
                    raise InvalidArgument(
                        f"The loop over optimistic {self.name!r} did nothing with its attempt: "
                        "write `with attempt as a:` in it.",
                        name=self.name,
                    )
            finally:
                attempt.expire()
            if attempt.stage is not Stage.CONFLICTED:
                return

    def __repr__(self) -> str:
        return f"<Attempts on {self.name} at {self.store}>"


class OptimisticFunction:
    """`optimistic(name, …)` for a loop, `optimistic.run(fn, name, …)` for a function."""

    def __call__(self, name: str, *, retries: int = 3, using: str | None = None) -> Attempts:
        r"""Attempts to change a name; nothing is sent before `with attempt`.

        Args:
            name: 1 to 200 bytes, without spaces and `{}*?[]\`.
            retries: how often to try again after a conflict; then ConflictError.
            using: alias of its store, redis or a database; ROUTES by default.

        Raises InvalidName, InvalidArgument, NotSupportedByStore.
        """
        name = names.validate_name(name, what="optimistic name")
        if isinstance(retries, bool) or not isinstance(retries, int):
            raise InvalidArgument(f"retries must be a number, not {retries!r:.80}.", name=name)
        if not 0 <= retries <= RETRIES_MAX:
            raise InvalidArgument(
                f"retries must be from 0 to {RETRIES_MAX}, not {retries!r:.80}.", name=name
            )
        store = registry.route("optimistic", name, using=using)
        return Attempts(name, retries=retries, store=store)

    def run(
        self, fn: Callable[[Attempt], T], name: str, *, retries: int = 3, using: str | None = None
    ) -> T:
        """Call `fn(attempt)` within each attempt; what the one that succeeded returned.

        Raises as the loop does, and whatever `fn` raises.
        """
        if not callable(fn):
            raise InvalidArgument(f"optimistic.run takes a function first, not {fn!r:.80}.")
        results: list[T] = []
        for attempt in self(name, retries=retries, using=using):
            with attempt:
                results.append(fn(attempt))
        return results[-1]


optimistic = OptimisticFunction()


def _pause_s(failed: int) -> float:
    # Nothing is secured by this chance.
    uniform = random.random()  # noqa: S311
    return backoff_ms(failed, base_ms=BASE_MS, cap_ms=CAP_MS, uniform=uniform) / 1000
