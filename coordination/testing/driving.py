"""Asks a branch for its steps as a worker does for a coordinator of another node: without rows."""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from coordination import conf
from coordination.kernel.gids import make_gid
from coordination.transactions import finishing, plan, runner
from coordination.transactions.branches.answer import NOT_NOW
from coordination.transactions.plan import Enlisted
from coordination.transactions.types import Ballot, Form, Outcome, Result, Work

T = TypeVar("T")

REMAINING_MS = 30_000
PAUSE_S = 0.05


@dataclass(slots=True)
class Branch:
    """One branch, and whether anything of it may be left."""

    work: Work
    patience_s: float
    """How long a step may answer that it is busy or in doubt, before that is a refusal."""
    open: bool = False

    def prepare(self, *, remaining_ms: int = REMAINING_MS) -> Ballot:
        """Its vote."""
        self.open = True
        return self._insist(lambda work: runner.answer(replace(work, remaining_ms=remaining_ms)))

    def commit(self) -> Result:
        """How it ended, asked to commit."""
        return self._finish(Outcome.COMMITTED)

    def cancel(self) -> Result:
        """How it ended, asked to cancel."""
        return self._finish(Outcome.ABORTED)

    def _finish(self, outcome: Outcome) -> Result:
        result = self._insist(lambda work: finishing.end(work, outcome))
        self.open = False
        return result

    def _insist(self, step: Callable[[Work], T]) -> T:
        """Ask again as long as the answer is "not now", as workers and sweeper would."""
        until = time.monotonic() + self.patience_s
        while True:
            try:
                return step(self.work)
            except NOT_NOW as error:
                if time.monotonic() > until:
                    raise AssertionError(
                        f"{self.work.participant} gave no answer for {self.patience_s:g} s: "
                        f"{type(error).__name__}: {error}"
                    ) from error
                time.sleep(PAUSE_S)


@dataclass(slots=True)
class Driver:
    """Makes branches of one participant, and cancels what a test leaves of them."""

    participant: str
    patience_s: float
    branches: list[Branch] = field(default_factory=list)

    def enlisted(self, args: Mapping[str, Any]) -> Enlisted:
        """The participant with these arguments. Raises as `enlist` does."""
        return plan.enlisted(self.participant, args)

    def branch(self, args: Mapping[str, Any]) -> Branch:
        """A new branch, nothing done yet."""
        enlisted = self.enlisted(args)
        work = Work(
            gid=make_gid(conf.current().node, int(time.time()), secrets.token_bytes(8)),
            seq=1,
            participant=enlisted.participant,
            using=enlisted.using,
            mode=enlisted.mode,
            form=Form.PREPARE,
            args=json.loads(enlisted.args_json),
            remaining_ms=REMAINING_MS,
        )
        made = Branch(work, self.patience_s)
        self.branches.append(made)
        return made

    def clean_up(self) -> None:
        """Cancel what is still open, so that no lock outlives its test."""
        for branch in self.branches:
            if branch.open:
                with suppress(Exception):
                    finishing.end(branch.work, Outcome.ABORTED)
