"""Holds of counters in ZooKeeper: they stand in the counter's node, whose version guards them.

So a copy of a hold that comes late is refused by the version, which every cancel changes. That a
hold has ended is remembered as calls with an op id are; one that was used up stays in the node
besides, until that may be forgotten.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import unquote

from coordination.connections.zookeeper_errors import ReplyLost, ZooKeeperRefused
from coordination.connections.zookeeper_requests import Children, Commit
from coordination.counters.holding import exceeded
from coordination.counters.stores.zookeeper import Seen, State, Trial, ZooKeeperCounters
from coordination.counters.types import Answer, Change, Ending, Reading, Rules, Verb
from coordination.exceptions import OutcomeUnknown, StoreUnavailable
from coordination.kernel.holds import HoldState, Kept
from coordination.locks.stores.zookeeper.paths import quoted

HOLDS_MAX = 1_000
"""Of one counter: they are read with it."""

Verdict = HoldState | tuple[State, Ending | None, HoldState]
"""How it stands; or what is to be written, how the call ends for who asks again (None: nothing is
remembered of it), and how it stands then."""


class ZooKeeperCounterHolds:
    """See `coordination.counters.holding.CounterHolds`."""

    def __init__(self, counters: ZooKeeperCounters) -> None:
        self._counters = counters

    def hold(
        self, rules: Rules, amount: int, *, branch: str, remaining_ms: Callable[[], int]
    ) -> HoldState:
        """Keep room."""

        def verdict(seen: Seen, ended: HoldState | None) -> Verdict:
            state = seen.state
            if ended is not None:
                return ended
            if branch in state.held:
                return HoldState.HELD
            if remaining_ms() <= 0:
                return HoldState.LATE
            if not state.room.allows_adding(rules, state.value, amount):
                stands = Reading(state.value, state.version)
                raise exceeded(rules, amount, stands, store=self._counters.alias)
            if len(state.held) >= HOLDS_MAX:
                raise StoreUnavailable(
                    f"Counter {rules.name!r}: {HOLDS_MAX} open transactions hold of it already.",
                    name=rules.name,
                    store=self._counters.alias,
                )
            return replace(state, held={**state.held, branch: amount}), None, HoldState.HELD

        return self._trial(rules, branch, amount).settle(verdict)

    def apply(self, rules: Rules, amount: int, *, branch: str) -> HoldState:
        """Add what was held."""

        def verdict(seen: Seen, ended: HoldState | None) -> Verdict:
            state = seen.state
            held = state.held.get(branch)
            if ended is not None or held is None:
                return ended or HoldState.GONE
            new = replace(
                state,
                value=state.value + held,
                version=state.version + 1,
                held={**state.held, branch: None},
            )
            return new, Ending.DONE, HoldState.APPLIED

        return self._trial(rules, branch, amount).settle(verdict)

    def cancel(self, rules: Rules, *, branch: str) -> HoldState:
        """Let go of it, and of one that comes later."""

        def verdict(seen: Seen, ended: HoldState | None) -> Verdict:
            if ended is not None:
                return ended
            new = replace(seen.state, held=_without(seen.state.held, branch))
            return new, Ending.MISMATCH, HoldState.CANCELLED

        return self._trial(rules, branch, 0).settle(verdict)

    def forget(self, rules: Rules, *, branch: str) -> None:
        """It is remembered as a call with an op id from now on."""

        def verdict(seen: Seen, ended: HoldState | None) -> Verdict:
            if branch not in seen.state.held:
                return HoldState.APPLIED
            new = replace(seen.state, held=_without(seen.state.held, branch))
            return new, None, HoldState.APPLIED

        self._trial(rules, branch, 0).settle(verdict)

    def kept(self) -> list[Kept]:
        """Of every counter: one after the other is read."""
        store, found = self._counters.zookeeper, list[Kept]()
        (listed,) = store.ask(Children(self._counters.top), deadline_ms=self._counters.deadline_ms)
        for node in [] if isinstance(listed, ZooKeeperRefused) else listed[0]:
            name = unquote(node)
            path = f"{self._counters.top}/{node}"
            state = Trial(self._counters, Rules(name), path).look().state
            open_ = {each: amount for each, amount in state.held.items() if amount is not None}
            found += [Kept(name, branch, amount) for branch, amount in open_.items()]
        return found

    def _trial(self, rules: Rules, branch: str, amount: int) -> "_HoldTrial":
        path = f"{self._counters.top}/{quoted(rules.name)}"
        return _HoldTrial(self._counters, rules, path, branch=branch, amount=amount)


class _HoldTrial(Trial):
    """One call, until its deadline. What an earlier commit of it did shows in the node."""

    def __init__(
        self, store: ZooKeeperCounters, rules: Rules, path: str, *, branch: str, amount: int
    ) -> None:
        super().__init__(store, rules, path)
        self._call = Change(Verb.ADD, branch, amount, op_id=True)
        self._sent = False

    def settle(self, verdict: Callable[[Seen, HoldState | None], Verdict]) -> HoldState:
        """Until it stands as it should. Raises as `verdict` does."""
        refusals = 0
        while True:
            try:
                stands = self._settle_once(verdict)
            except OutcomeUnknown as unknown:
                if self._left_ms() <= 0:
                    raise
                stands, self._sent = None, self._sent or unknown.applied is None
            except ReplyLost:
                if self._left_ms() <= 0:
                    raise
                stands = None
            except StoreUnavailable as error:
                if self._sent:
                    raise self._unknown(error) from error
                raise
            if stands is not None:
                return stands
            refusals += 1
            self._pause(refusals)

    def _settle_once(
        self, verdict: Callable[[Seen, HoldState | None], Verdict]
    ) -> HoldState | None:
        seen = self.look()
        wanted = verdict(seen, self._ended(seen))
        if isinstance(wanted, HoldState):
            return wanted
        new, ending, stands = wanted
        return stands if self._write(seen, new, ending) else None

    def _ended(self, seen: Seen) -> HoldState | None:
        branch = self._call.id
        if branch in seen.state.held:
            return HoldState.APPLIED if seen.state.held[branch] is None else None
        known = self._known(self._call, seen) if seen.version >= 0 else None
        if known is None:
            return None
        return HoldState.APPLIED if known.ending is Ending.DONE else HoldState.CANCELLED

    def _write(self, seen: Seen, new: State, ending: Ending | None) -> bool:
        call = self._call._replace(op_id=ending is not None)
        turned = call.op_id and self._is_old(seen)
        if turned:
            new = replace(new, calls=seen.state.calls + 1, since_ms=seen.written_ms)
        answer = Answer(ending or Ending.MISMATCH, new.value, new.version, call.said)
        (reply,) = self._ask(Commit(self._steps(call, seen, new, answer)))
        if isinstance(reply, ZooKeeperRefused):
            self._make_way(reply)
            return False
        if turned:
            self._forget(new.calls - 1)
        return True


def _without(held: Mapping[str, int | None], branch: str) -> dict[str, int | None]:
    return {each: amount for each, amount in held.items() if each != branch}
