"""Giving a name back: by its holder, by a waiter, or by an operator's word."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from coordination.connections.zookeeper_errors import ZooKeeperRefused
from coordination.connections.zookeeper_requests import Children, Create, Delete, Get, Step
from coordination.locks.stores.zookeeper import line as lines
from coordination.locks.stores.zookeeper.calls import End, call_of, remembering
from coordination.locks.stores.zookeeper.claims import Claim
from coordination.locks.stores.zookeeper.journal import Log
from coordination.locks.stores.zookeeper.shared import Shared
from coordination.locks.stores.zookeeper.turn import Turn
from coordination.locks.types import KEPT_MS, Mode, Released, Request, Resource, State

ATTEND_S = 0.3
"""How soon it is seen to that whoever is next came for it: those who live are there before."""


class Giving:
    """One call of `release`."""

    def __init__(
        self, shared: Shared, turn: Turn, request: Request, said: Mapping[str, Any] | None = None
    ) -> None:
        self._shared = shared
        self._said = said or {}
        self._turn = turn
        self._request = request
        self._resource = request.resource
        self._path = shared.tree.name(request.resource)
        self._call = shared.tree.call(request.id)

    def answer(self) -> Released:
        """What giving back came to. Raises StoreUnavailable, OutcomeUnknown."""
        while True:
            mine = self._shared.mine(self._request.id)
            claim = self._found() if mine is None else mine.claim
            answer = self._refused() if claim is None else self._give(claim)
            if answer is not None:
                return answer

    def _found(self) -> Claim | None:
        """The claim of this call, made by another process or before its answer was lost."""
        return lines.find(self._shared, self._turn, self._resource, self._request.id)

    def _refused(self) -> Released | None:
        """There is no claim: it was given back already, or there is nothing to give back."""
        (call,) = self._turn.ask(Get(self._call))
        remembered = not isinstance(call, ZooKeeperRefused)
        if remembered and call_of(call[0]).end is End.RELEASED:
            return Released.RELEASED
        request, shared = self._request, self._shared
        try:
            shared.journal.commit(
                self._turn,
                lambda log: (
                    # A copy of the call that arrives late must not be granted to nobody.
                    *(() if remembered else (self._remembering(End.LEFT),)),
                    shared.journal.event(log, "lock.release_refused", self._resource, request.id),
                ),
            )
        except ZooKeeperRefused as refused:
            if refused.word != "NodeExists":
                raise
            return None
        if not remembered:
            shared.forget_call_in(request.id, request.kept_ms)
        # A copy may have been granted before it was remembered that there is nobody to have it.
        late = self._found()
        if late is not None:
            lines.remove_dead(shared, self._turn, self._resource, late)
        return Released.LOST

    def _give(self, claim: Claim) -> Released | None:
        """Remove the claim; None when it is gone already."""
        if claim.record.state is State.HELD and claim.until_ms <= self._turn.now().at_least():
            return self._too_late(claim)
        held = claim.record.state is not State.WAITING or self._may_have_it(claim)
        shared, resource = self._shared, self._resource
        # Nobody else was there lately, so probably nobody is: then the name goes, too.
        last = shared.seems_free(resource)
        try:
            self._commit(claim, held=held, last=last)
        except ZooKeeperRefused as refused:
            if refused.word == "NotEmpty":
                shared.note_busy(resource, busy=True)
                return None
            if refused.word not in ("NoNode", "NodeExists"):
                raise
            if refused.word == "NodeExists":  # a late copy of a call that is over
                lines.remove_dead(shared, self._turn, resource, claim)
            shared.forget(claim.record.id)
            return None
        shared.forget(claim.record.id)
        shared.forget_call_in(claim.record.id, self._request.kept_ms)
        if not last:
            self._serve()
        return Released.RELEASED if held else Released.LEFT

    def _commit(self, claim: Claim, *, held: bool, last: bool) -> None:
        record, journal = claim.record, self._shared.journal
        # One whose turn it was, and of whom no event has said so, was only waiting.
        waited = record.state is State.WAITING
        kind = "lock.gave_up" if waited else "lock.released"

        def steps(log: Log) -> Sequence[Step]:
            told = {"token": claim.token, "owner": record.owner, **self._said}
            return (
                Delete(claim.path),
                *((Delete(self._path),) if last else ()),
                self._remembering(End.RELEASED if held else End.LEFT),
                journal.event(log, kind, self._resource, record.id, **told),
            )

        journal.commit(self._turn, steps)

    def _too_late(self, claim: Claim) -> Released | None:
        """Its lease ran out although nobody took it since."""
        current = self._found()
        if current is None or current.until_ms > self._turn.now().at_least():
            if current is not None:
                self._shared.remember(self._resource, current)
            else:
                self._shared.forget(claim.record.id)
            return None
        lines.remove_dead(self._shared, self._turn, self._resource, current)
        self._shared.forget(claim.record.id)
        self._serve()
        return None

    def _remembering(self, end: End) -> Create:
        return remembering(self._call, end, kept_ms=self._request.kept_ms)

    def _may_have_it(self, claim: Claim) -> bool:
        """Whether a waiter was next already, and has only not come for it."""
        if claim.record.mode is Mode.PARTY:
            return False
        line = lines.look(self._shared, self._turn, self._resource)
        index = None if line is None else line.index(claim.record.id)
        return line is not None and index is not None and index < line.admitted

    def _serve(self) -> None:
        serve_soon(self._shared, self._request.resource, self._request.mode)


def serve_soon(shared: Shared, resource: Resource, mode: Mode | None) -> None:
    """See to it that whoever is next comes for it, and that an empty name goes."""

    def serve(turn: Turn) -> float | None:
        if lines.attend(shared, turn, resource):
            return ATTEND_S
        tidy(shared, turn, resource)
        return None

    delay_s = 0.0 if mode is Mode.PERMIT else ATTEND_S
    shared.behind(("serve", resource, mode), serve, delay_s=delay_s)


def tidy(shared: Shared, turn: Turn, resource: Resource) -> None:
    """Remove a name that nobody holds or waits for; ZooKeeper would do it within some minutes."""
    path = shared.tree.name(resource)
    (names,) = turn.ask(Children(path))
    if not isinstance(names, ZooKeeperRefused) and not names[0]:
        with suppress(ZooKeeperRefused):
            turn.commit(Delete(path))


def give_up_until_gone(shared: Shared, request: Request) -> None:
    """Nobody is there to have what the call may have left: remove it, however often that takes."""

    def give_up(turn: Turn) -> None:
        Giving(shared, turn, request).answer()

    shared.behind(("give up", request.id), give_up)


def force(
    shared: Shared, turn: Turn, resource: Resource, call: str, told: dict[str, str]
) -> list[int]:
    """Take a name from all who hold it; `call` makes a repetition get the first answer."""
    marker = shared.tree.call(call)
    while True:
        (answer,) = turn.ask(Get(marker))
        if not isinstance(answer, ZooKeeperRefused):
            return list(call_of(answer[0]).tokens)
        line = lines.look(shared, turn, resource)
        claims = [] if line is None else lines.read(turn, line, line.names)
        now_ms = turn.now().at_least()
        holders = [each for each in claims if each.record.state is not State.WAITING]
        dead = [each for each in holders if each.until_ms <= now_ms]
        for each in dead:
            lines.remove_dead(shared, turn, resource, each)
        living = [each for each in holders if each not in dead]
        tokens = [each.token for each in living if each.token is not None]

        def steps(
            log: Log, living: Sequence[Claim] = living, tokens: Sequence[int] = tokens
        ) -> Sequence[Step]:
            return (
                remembering(marker, End.FORCE, kept_ms=KEPT_MS, tokens=tokens),
                *(Delete(each.path, each.stat.version) for each in living),
                *(
                    remembering(
                        shared.tree.call(each.record.id), End.FORCED, kept_ms=each.record.kept_ms
                    )
                    for each in living
                ),
                *(
                    shared.journal.event(
                        *(log, "lock.forced", resource, each.record.id),
                        token=each.token,
                        owner=each.record.owner,
                        **told,
                    )
                    for each in living
                ),
            )

        try:
            shared.journal.commit(turn, steps)
        except ZooKeeperRefused as refused:
            if refused.word not in ("NodeExists", "NoNode", "BadVersion"):
                raise
            continue
        shared.forget_call_in(call, KEPT_MS)
        for each in living:
            shared.forget_call_in(each.record.id, each.record.kept_ms)
        serve_soon(shared, resource, Mode.PERMIT)
        return tokens
