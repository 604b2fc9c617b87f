"""What every participant has to keep, one test each, whatever its mode.

Each test makes branches of its own and asks the code of Concord for their steps: the same that a
worker runs. What it reports is what `observe` sees.
"""

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from django.db import connections

from coordination.exceptions import CoordinationError
from coordination.testing import children, services
from coordination.testing.driving import Branch, Driver
from coordination.testing.effects import change, is_nothing
from coordination.transactions import participants
from coordination.transactions.types import Actual, Ballot, Mode, Vote

Step = Callable[..., Any]


class ParticipantContract:
    """Subclass it with `participant`, `args` and `observe`, and pytest runs the checks."""

    participant: ClassVar[str]
    """The name that is enlisted."""

    patience: ClassVar[float] = 20
    """Seconds that a step may fail or be busy before that counts as a refusal: nothing is lost by
    asking again, and workers do so for ever."""

    def args(self) -> Mapping[str, Any]:
        """Arguments for one branch, which change what `observe` returns when it commits."""
        raise NotImplementedError

    def observe(self) -> Any:
        """What its work changes: a number, or numbers in a dict or a list, read afresh."""
        raise NotImplementedError

    def effect(self, before: Any) -> Any:
        """What `observe` returns after one commit, from what it returned before."""
        return NotImplemented

    def refused_args(self) -> Mapping[str, Any] | None:
        """Arguments to which it votes no; None: there are none to be tested."""
        return None

    def disturb(self) -> None:
        """Change, between prepare and its end, what a commit could stumble over."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.is_participant_contract = hasattr(cls, "participant")

    is_participant_contract: ClassVar[bool] = False

    @pytest.fixture(autouse=True)
    def _branches(self) -> Iterator[None]:
        """Leaves no branch open behind a test."""
        self.driver = Driver(self.participant, self.patience)
        self._require_usable()
        yield
        self.driver.clean_up()

    # What it does

    def test_a_commit_takes_effect(self) -> None:
        before = self.observe()
        self._committed(self._prepared())

        assert self._changed(before), "observe() sees nothing of a commit: give args that show"

    def test_a_cancel_leaves_nothing(self) -> None:
        before = self.observe()
        self._cancelled(self._prepared())

        self._assert_unchanged(before, "a branch that was prepared and cancelled")

    def test_a_no_leaves_nothing(self) -> None:
        args = self.refused_args()
        if args is None:
            pytest.skip("no refused_args")
        before, branch = self.observe(), self.driver.branch(args)
        ballot = branch.prepare()
        assert ballot.vote is Vote.NO, f"it voted {ballot.vote} to refused_args"
        self._cancelled(branch)

        self._assert_unchanged(before, "a branch to which it voted no")

    def test_its_arguments_are_json(self) -> None:
        given = dict(self.args())
        try:
            self.driver.enlisted(given)
            taken = json.loads(json.dumps(given, allow_nan=False))
        except (CoordinationError, TypeError, ValueError) as error:
            raise AssertionError(f"args() cannot be sent: {error}") from error
        assert taken == given, f"args() {given!r} arrive as {taken!r}"

    # Twice

    def test_a_prepare_that_comes_twice_is_done_once(self) -> None:
        once = self._effect_of_one()
        before, branch = self.observe(), self._prepared()
        prepared = self.observe()
        self._require_yes(branch.prepare(), "asked again, it")
        self._assert_equal(self.observe(), prepared, "a second prepare")
        self._committed(branch)

        self._assert_effect(once, before, "prepared twice and committed")

    def test_a_commit_that_comes_twice_is_done_once(self) -> None:
        once = self._effect_of_one()
        before, branch = self.observe(), self._prepared()
        self._committed(branch)
        self._committed(branch)

        self._assert_effect(once, before, "committed twice")

    def test_a_cancel_that_comes_twice_is_done_once(self) -> None:
        before, branch = self.observe(), self._prepared()
        self._cancelled(branch)
        self._cancelled(branch)

        self._assert_unchanged(before, "a branch that was cancelled twice")

    def test_two_prepares_at_the_same_time_are_done_once(self) -> None:
        self._require_reachable()
        once = self._effect_of_one()
        before, branch = self.observe(), self._branch()
        branch.open = True
        both = children.start_at_once(lambda: branch.prepare().vote, number=2)
        votes = [child.told() for child in both]
        assert votes == [Vote.YES] * 2, f"asked twice at once, it voted {votes}"
        self._committed(branch)

        self._assert_effect(once, before, "prepared twice at once and committed")

    # Out of order

    def test_a_cancel_of_what_was_never_prepared_changes_nothing(self) -> None:
        before = self.observe()
        self._cancelled(self._branch())

        self._assert_unchanged(before, "a cancel without a prepare")

    def test_a_prepare_that_comes_after_its_cancel_is_refused(self) -> None:
        before, never, undone = self.observe(), self._branch(), self._prepared()
        self._cancelled(never)
        self._cancelled(undone)
        for branch, what in ((never, "a prepare that was overtaken"), (undone, "a second prepare")):
            vote = branch.prepare().vote
            assert vote is Vote.NO, f"{what} by its cancel got {vote}: nobody will end it again"

        self._assert_unchanged(before, "a prepare after its cancel")

    def test_a_commit_of_what_was_never_prepared_is_not_told_as_done(self) -> None:
        before = self.observe()
        result = self._branch().commit()
        assert result.actual is Actual.HEURISTIC_ROLLBACK, (
            f"a commit of an unknown branch was answered with {result.actual}"
        )

        self._assert_unchanged(before, "a commit without a prepare")

    def test_a_cancel_after_its_commit_is_not_told_as_done(self) -> None:
        once = self._effect_of_one()
        before, branch = self.observe(), self._prepared()
        self._committed(branch)
        actual = branch.cancel().actual
        assert actual is Actual.HEURISTIC_COMMIT, (
            f"a cancel of a committed branch was answered with {actual}"
        )

        self._assert_effect(once, before, "committed, then cancelled in vain")

    def test_after_the_deadline_it_does_nothing(self) -> None:
        before, branch = self.observe(), self._branch()
        vote = branch.prepare(remaining_ms=0).vote
        assert vote is Vote.NO, f"asked after the deadline, it voted {vote}"
        self._cancelled(branch)

        self._assert_unchanged(before, "a prepare after the deadline")

    # Its own rules

    def test_its_body_does_not_commit_by_itself(self) -> None:
        ballot = self._branch().prepare()
        itself = ballot.actual is Actual.HEURISTIC_COMMIT or "by itself" in ballot.reason
        assert not itself, f"{ballot.reason}: a cancel could not undo it"

    def test_neither_commit_nor_cancel_refuses(self) -> None:
        for end in (self._committed, self._cancelled):
            # One after the other: two branches of the same arguments may want the same lock.
            branch = self._prepared()
            self.disturb()
            end(branch)

    # Killed

    def test_killed_in_its_prepare_it_can_be_asked_again(self) -> None:
        self._require_reachable()
        once = self._effect_of_one()
        before, branch = self.observe(), self._branch()
        branch.open = True
        children.start(lambda: self._die_in(branch, "body", branch.prepare)).killed()
        if self._is_here(branch):
            self._assert_unchanged(before, "a prepare whose process was killed before its vote")
        self._require_yes(branch.prepare(), "after a process was killed in its prepare, it")
        self._committed(branch)

        self._assert_effect(once, before, "killed in its prepare, asked again and committed")

    def test_killed_in_its_prepare_it_can_be_cancelled(self) -> None:
        self._require_reachable()
        before, branch = self.observe(), self._branch()
        branch.open = True
        children.start(lambda: self._die_in(branch, "body", branch.prepare)).killed()
        self._cancelled(branch)

        self._assert_unchanged(before, "a branch that was killed in its prepare and cancelled")

    def test_what_a_killed_process_prepared_is_committed_by_another(self) -> None:
        self._require_reachable()
        once = self._effect_of_one()
        before, branch = self.observe(), self._branch()
        branch.open = True
        children.start(lambda: children.die(branch.prepare())).killed()
        self._require_yes(branch.prepare(), "what a killed process prepared")
        self._committed(branch)

        self._assert_effect(once, before, "prepared by a process that was killed, and committed")

    def test_killed_in_its_commit_it_is_committed_by_another(self) -> None:
        self._require_reachable()
        once = self._effect_of_one()
        before, branch = self.observe(), self._prepared()
        children.start(lambda: self._die_in(branch, "confirm", branch.commit)).killed()
        self._committed(branch)

        self._assert_effect(once, before, "killed in its commit, and committed again")

    def test_killed_in_its_cancel_it_is_cancelled_by_another(self) -> None:
        self._require_reachable()
        before, branch = self.observe(), self._prepared()
        children.start(lambda: self._die_in(branch, "cancel", branch.cancel)).killed()
        self._cancelled(branch)

        self._assert_unchanged(before, "a branch that was killed in its cancel and cancelled")

    # Services

    def test_a_service_does_nothing_that_is_not_signed(self) -> None:
        branch = self._branch()
        if branch.work.mode is not Mode.HTTP:
            pytest.skip("not called by HTTP")
        before = self.observe()
        branch.open = True
        for what, status in services.forged(branch.work):
            assert status not in (200, 409, 425), f"{what} got {status}"
            self._assert_unchanged(before, what)

    # Inside

    def _branch(self) -> Branch:
        return self.driver.branch(dict(self.args()))

    def _prepared(self) -> Branch:
        branch = self._branch()
        self._require_yes(branch.prepare(), "it")
        return branch

    def _require_yes(self, ballot: Ballot, who: str) -> None:
        assert ballot.vote is not Vote.READ_ONLY, (
            f"{who} voted read_only: give args that change something"
        )
        assert ballot.vote is Vote.YES, f"{who} voted no to args(): {ballot.reason}"

    def _committed(self, branch: Branch) -> None:
        result = branch.commit()
        assert result.actual is Actual.COMMITTED, (
            f"asked to commit what it had prepared, it ended as {result.actual}: {result.reason}"
        )

    def _cancelled(self, branch: Branch) -> None:
        result = branch.cancel()
        assert result.actual is Actual.ABORTED, (
            f"asked to cancel, it ended as {result.actual}: {result.reason}"
        )

    def _effect_of_one(self) -> Any:
        """What one branch that is prepared and committed once changes."""
        before = self.observe()
        if self.effect(before) is not NotImplemented:
            return None
        self._committed(self._prepared())
        return change(before, self.observe())

    def _assert_effect(self, once: Any, before: Any, what: str) -> None:
        after = self.observe()
        expected = self.effect(before)
        if expected is not NotImplemented:
            self._assert_equal(after, expected, what)
            return
        found = change(before, after)
        assert found == once, f"{what}: it changed by {found!r}, one commit changes by {once!r}"

    def _changed(self, before: Any) -> bool:
        after, expected = self.observe(), self.effect(before)
        if expected is not NotImplemented:
            self._assert_equal(after, expected, "a commit")
            return True
        return not is_nothing(change(before, after))

    def _assert_unchanged(self, before: Any, what: str) -> None:
        after = self.observe()
        assert after == before, f"{what} left its traces: {before!r} became {after!r}"

    def _assert_equal(self, found: Any, expected: Any, what: str) -> None:
        assert found == expected, f"{what}: {found!r} instead of {expected!r}"

    def _is_here(self, branch: Branch) -> bool:
        """Whether its steps run in this process's databases, so that they can be killed inside."""
        found = participants.find(branch.work.participant)
        return bool(branch.work.using) and found is not None and not found.elsewhere

    def _die_in(self, branch: Branch, step: str, ask: Callable[[], Any]) -> None:
        """In a child: be killed at the end of the participant's step, before it is durable.

        Where that step is none of this process's code, be killed when it is done.
        """
        found = participants.find(branch.work.participant)
        code: Step | None = getattr(found, step) if found is not None else None
        if found is not None and code is not None and self._is_here(branch):
            killing: dict[str, Any] = {step: _killing(code)}
            participants.register(replace(found, **killing))
        ask()
        children.die()

    def _require_reachable(self) -> None:
        using = self.driver.enlisted(dict(self.args())).using
        if not children.reaches(using):
            pytest.skip(f"{using!r} is in memory: no other process reaches it")

    def _require_usable(self) -> None:
        try:
            using = self.driver.enlisted(dict(self.args())).using
        except CoordinationError:
            return  # each check tells of it
        if using and connections[using].in_atomic_block:
            pytest.fail(
                f"{using!r} is inside atomic(): a contract commits for real. With pytest-django "
                "use @pytest.mark.django_db(transaction=True), with unittest TransactionTestCase.",
                pytrace=False,
            )


def _killing(code: Step) -> Step:
    """The step, and then a crash. It keeps the name, by which it is registered."""

    @functools.wraps(code)
    def run(*args: Any, **kwargs: Any) -> None:
        code(*args, **kwargs)
        children.die()

    return run
