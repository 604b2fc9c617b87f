"""Keeping a name: renewing leases, and asking for them back."""

from collections.abc import Sequence
from dataclasses import replace

from coordination.connections.zookeeper_errors import ZooKeeperRefused
from coordination.connections.zookeeper_requests import Get, Stat, Step, Write
from coordination.exceptions import CoordinationError, OutcomeUnknown, StoreUnavailable
from coordination.locks.stores.zookeeper import line as lines
from coordination.locks.stores.zookeeper.claims import Claim, Record, unpacked
from coordination.locks.stores.zookeeper.journal import Log
from coordination.locks.stores.zookeeper.shared import Shared
from coordination.locks.stores.zookeeper.turn import Turn
from coordination.locks.types import Held, Request, Resource, State

Renewed = Held | CoordinationError | None


class Keeping:
    """One call of `renew`: all leases in one round trip, those that were written since in more."""

    def __init__(self, shared: Shared, turn: Turn) -> None:
        self._shared = shared
        self._turn = turn

    def renew(self, requests: Sequence[Request]) -> list[Renewed]:
        """Let leases begin anew. Raises StoreUnavailable, OutcomeUnknown when none was."""
        answers: dict[int, Renewed] = {}
        claims = {at: self._claim(request) for at, request in enumerate(requests)}
        while len(answers) < len(requests):
            writes: dict[int, tuple[Claim, Record]] = {}
            for at, claim in claims.items():
                if at in answers:
                    continue
                if claim is None or claim.record.state is not State.HELD or self._ended(claim):
                    self._forget(requests[at], claim)
                    answers[at] = None
                elif self._revoked(claim):
                    answers[at] = claim.held(now_ms=self._turn.now().at_most())
                else:
                    writes[at] = (claim, self._longer(claim, requests[at]))
            if writes:
                self._write(requests, writes, answers, claims)
        return [answers[at] for at in range(len(requests))]

    def _write(
        self,
        requests: Sequence[Request],
        writes: dict[int, tuple[Claim, Record]],
        answers: dict[int, Renewed],
        claims: dict[int, Claim | None],
    ) -> None:
        def change(at: int) -> "_Change":
            return _Change(self._shared, requests[at].resource, *writes[at])

        order = list(writes)
        try:
            results = self._shared.journal.commit_each(self._turn, [change(at) for at in order])
        except (StoreUnavailable, OutcomeUnknown) as error:
            if not answers:
                raise
            answers.update(dict.fromkeys(order, error))
            return
        for at, result in zip(order, results, strict=True):
            claim, record = writes[at]
            if result is None:
                continue
            if isinstance(result, ZooKeeperRefused):
                # Gone, asked back meanwhile, or renewed by a write whose answer came too late.
                claims[at] = current = self._reread(claim)
                if current is not None and current.until_ms > claim.until_ms:
                    self._shared.remember(requests[at].resource, current).told = True
                    answers[at] = current.held(now_ms=self._turn.now().at_most())
                continue
            stat: Stat = result[0]
            renewed = Claim(claim.path, record, stat)
            self._shared.remember(requests[at].resource, renewed).told = True
            answers[at] = renewed.held(now_ms=stat.mtime_ms)

    def _claim(self, request: Request) -> Claim | None:
        mine = self._shared.mine(request.id)
        if mine is not None:
            return mine.claim
        return lines.find(self._shared, self._turn, request.resource, request.id)

    def _reread(self, claim: Claim) -> Claim | None:
        (reply,) = self._turn.ask(Get(claim.path))
        if isinstance(reply, ZooKeeperRefused):
            return None
        return Claim(claim.path, unpacked(reply[0]), reply[1])

    def _ended(self, claim: Claim) -> bool:
        return claim.until_ms <= self._turn.now().at_least()

    def _revoked(self, claim: Claim) -> bool:
        revoked_ms = claim.record.revoked_at_ms
        return revoked_ms is not None and self._turn.now().at_least() >= revoked_ms

    def _forget(self, request: Request, claim: Claim | None) -> None:
        # As it is now: what this process remembers may have been written since.
        current = None if claim is None else self._reread(claim)
        if current is not None and self._ended(current):
            lines.remove_dead(self._shared, self._turn, request.resource, current)
        self._shared.forget(request.id)

    def _longer(self, claim: Claim, request: Request) -> Record:
        record = replace(claim.settled(), lasts_ms=request.ttl_ms, until_ms=None)
        if record.revoked_at_ms is None:
            return record
        # Never sooner than it was told before: the holder may not hear this answer.
        ends_ms = min(self._turn.now().at_least() + request.ttl_ms, record.revoked_at_ms)
        return replace(record, until_ms=max(claim.until_ms, ends_ms))


class _Change:
    """The steps of one renewal."""

    def __init__(self, shared: Shared, resource: Resource, claim: Claim, record: Record) -> None:
        self._shared = shared
        self._resource = resource
        self._claim = claim
        self._record = record

    def __call__(self, log: Log) -> Sequence[Step]:
        record = self._record
        ends = {"lasts_ms": record.lasts_ms}
        if record.until_ms is not None:
            ends = {"until": record.until_ms * 1000}
        return (
            Write(self._claim.path, record.packed(), self._claim.stat.version),
            self._shared.journal.event(
                *(log, "lock.renewed", self._resource, record.id), token=record.token, **ends
            ),
        )


def ask_back(
    shared: Shared, turn: Turn, resource: Resource, *, grace_ms: int, told: dict[str, str]
) -> int:
    """Ask all who hold a name to give it back; how many there are."""
    while True:
        line = lines.look(shared, turn, resource)
        claims = [] if line is None else lines.read(turn, line, line.names)
        now_ms = turn.now().at_least()
        at_ms = now_ms + grace_ms
        holders = [
            each
            for each in claims
            if each.record.state is not State.WAITING and each.until_ms > now_ms
        ]
        if not holders:
            return 0

        def steps(
            log: Log, holders: Sequence[Claim] = holders, at_ms: int = at_ms
        ) -> Sequence[Step]:
            return (
                *(Write(each.path, _asked(each, at_ms), each.stat.version) for each in holders),
                *(
                    shared.journal.event(
                        *(log, "lock.revoke_asked", resource, each.record.id),
                        token=each.token,
                        owner=each.record.owner,
                        at_latest=at_ms * 1000,
                        **told,
                    )
                    for each in holders
                ),
            )

        try:
            shared.journal.commit(turn, steps)
        except ZooKeeperRefused as refused:
            if refused.word not in ("NoNode", "BadVersion"):
                raise
            continue
        return len(holders)


def _asked(claim: Claim, at_ms: int) -> bytes:
    # This write must not make the lease any longer.
    return replace(claim.settled(), revoked_at_ms=at_ms, until_ms=claim.until_ms).packed()
