"""Pure judgement of a resource's history: was it ever held by two who may not hold it together?

The events are the store's own, in the store's own order; the state kept here is no record's and no
store's, so that a mistake there is found here. A hold is effective from `lock.granted` until it is
released, expired or forced, or until its lease ends. Where events are missing nothing is held
against anybody until the state is known again; but tokens of a name never fall.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from coordination.kernel.events import Event
from coordination.locks.types import Mode, moment

_EPOCH = moment(0)
_MICROSECOND = timedelta(microseconds=1)
ENDINGS = {"lock.released": "released", "lock.expired": "expired", "lock.forced": "forced"}


class ViolationKind(StrEnum):
    """Which rule is broken."""

    OVERLAP = "overlap"
    """Two held it at once who may not hold it together."""
    TOKEN_REPEATED = "token_repeated"  # noqa: S105
    """A token was given twice."""
    TOKEN_FELL = "token_fell"  # noqa: S105
    """A later grant has a lower token: the resource would refuse the one who holds it."""
    AFTER_LOSS = "after_loss"
    """Somebody whose hold was over was taken for its holder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Somebody who has it, or was handed it (`effective` not yet). Times by the store's clock."""

    id: str
    token: int
    mode: str
    limit: int
    owner: str
    since_us: int
    until_us: int
    effective: bool


_COLUMNS = ("id", "token", "mode", "limit", "owner", "since_us", "until_us", "effective")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One broken rule with what shows it."""

    key: str
    ordinal: int
    """Counts the findings of a resource, from 1."""
    kind: ViolationKind
    sentence: str
    evidence: Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class Counts:
    """What was judged."""

    grants: int = 0
    released: int = 0
    expired: int = 0
    forced: int = 0
    releases_refused: int = 0
    gaps: int = 0
    unreadable: int = 0
    last_grant_us: int = 0


@dataclass(slots=True)
class Watch:
    """What is known of one resource. JSON by `as_json` and `from_json`."""

    key: str
    version: int = 0
    era: int = 0
    token: int = 0
    """The last one given."""
    floor: int = 0
    """What a token has to exceed: the last one, but while not all is known only the last one from
    before that. A claim nobody saw may be taken up late, with a token older than the last."""
    known: bool = True
    """Whether `holds` are all there are."""
    found: int = 0
    """How many rules were found broken."""
    holds: dict[str, Hold] = field(default_factory=dict)

    def drop(self, *, effective: bool) -> None:
        """Forget the holds, or else the claims: what is left may be taken up yet."""
        kept = {id_: each for id_, each in self.holds.items() if each.effective is not effective}
        self.holds = kept

    def as_json(self) -> dict[str, Any]:
        """As JSON values, without key and version."""
        return {
            "era": self.era,
            "token": self.token,
            "floor": self.floor,
            "known": self.known,
            "found": self.found,
            "holds": [
                {column: getattr(hold, column) for column in _COLUMNS}
                for hold in self.holds.values()
            ],
        }

    @classmethod
    def from_json(cls, key: str, version: int, said: Mapping[str, Any]) -> Watch:
        """The watch of what `as_json` gave."""
        holds = {each["id"]: Hold(**each) for each in said["holds"]}
        kept = {name: said[name] for name in ("era", "token", "floor", "known", "found")}
        return cls(key, version, holds=holds, **kept)


def judge(watch: Watch, event: Event, counts: Counts) -> list[Finding]:
    """Take one event, the next of its resource, into `watch` and `counts`; which rules it breaks.

    One that was judged already changes nothing. The first of a history may have any version.
    """
    if event.version <= watch.version:
        return []
    era = event.data.get("era", 0)
    begun = watch.version == 0
    if not begun and (event.version > watch.version + 1 or era != watch.era):
        counts.gaps += 1
        watch.known = False
        watch.drop(effective=True)
    if begun and (era or event.version > 1):
        watch.known = False  # What was before was pruned, or its shard lost it.
    watch.version, watch.era = event.version, era
    try:
        broken = list(_RULES.get(event.kind, _nothing)(watch, event, counts))
    except (KeyError, TypeError, ValueError, OverflowError):
        counts.unreadable += 1
        watch.known = False
        return []
    findings = []
    for kind, sentence, evidence in broken:
        watch.found += 1
        findings.append(
            Finding(
                key=watch.key,
                ordinal=watch.found,
                kind=kind,
                sentence=sentence,
                evidence={"version": event.version, "at": event.at.isoformat(), **evidence},
            )
        )
    return findings


_Broken = tuple[ViolationKind, str, dict[str, Any]]


def _nothing(_watch: Watch, _event: Event, _counts: Counts) -> Iterator[_Broken]:
    return iter(())


def _at_us(event: Event) -> int:
    return _us(event.at)


def _us(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _hold(event: Event, *, effective: bool) -> Hold:
    data = event.data
    return Hold(
        id=data["id"],
        token=int(data["token"]),
        mode=data["mode"],
        limit=int(data.get("limit", 1)),
        owner=data.get("who", data)["owner"],
        since_us=_at_us(event),
        until_us=int(data["until"]),
        effective=effective,
    )


def _handed(watch: Watch, event: Event, _counts: Counts) -> Iterator[_Broken]:
    claim = _hold(event, effective=False)
    if claim.token:  # Some stores give it only to who takes the claim up.
        yield from _token(watch, claim)
    watch.holds[claim.id] = claim


def _granted(watch: Watch, event: Event, counts: Counts) -> Iterator[_Broken]:
    hold = _hold(event, effective=True)
    claim = watch.holds.pop(hold.id, None)
    if claim is None or claim.effective or claim.token != hold.token:
        yield from _token(watch, hold)
    for other in list(watch.holds.values()):
        if other.until_us <= hold.since_us:
            continue  # Its lease ran out; the store need not have said so.
        if other.effective and not _together(hold, other, watch):
            sentence = (
                f"{hold.owner} got it (token {hold.token}) at {_time(hold.since_us)} while "
                f"{other.owner} held it (token {other.token})"
            )
            yield ViolationKind.OVERLAP, sentence, {"holds": [_interval(other), _interval(hold)]}
            break
    if hold.mode == Mode.EXCLUSIVE and not watch.known:
        # It is the only one.
        watch.known, watch.floor = True, watch.token
        watch.drop(effective=False)
    watch.holds[hold.id] = hold
    counts.grants += 1
    counts.last_grant_us = max(counts.last_grant_us, hold.since_us)


def _token(watch: Watch, hold: Hold) -> Iterator[_Broken]:
    before = watch.floor
    watch.token = max(watch.token, hold.token)
    if watch.known:
        watch.floor = watch.token
    evidence = {"holds": [_interval(hold)], "token": hold.token, "last": before}
    if hold.token == before:
        sentence = f"token {hold.token} was given again, to {hold.owner}"
        yield ViolationKind.TOKEN_REPEATED, sentence, evidence
    elif hold.token < before:
        sentence = f"{hold.owner} got token {hold.token} after token {before} had been given"
        yield ViolationKind.TOKEN_FELL, sentence, evidence


def _together(hold: Hold, other: Hold, watch: Watch) -> bool:
    """Whether `hold` may begin while `other` lasts."""
    modes = {hold.mode, other.mode}
    if Mode.PARTY in modes:
        return True  # A barrier lets go; it keeps nobody out.
    if modes == {Mode.SHARED}:
        return True
    if modes == {Mode.PERMIT}:
        lasting = [
            each
            for each in watch.holds.values()
            if each.effective and each.until_us > hold.since_us
        ]
        return len(lasting) < hold.limit
    return False


def _renewed(watch: Watch, event: Event, _counts: Counts) -> Iterator[_Broken]:
    hold = watch.holds.get(event.data["id"])
    yield from _still(watch, event, hold, "renewed")
    if hold is not None:
        watch.holds[hold.id] = replace(hold, until_us=int(event.data["until"]))


def _over(watch: Watch, event: Event, counts: Counts) -> Iterator[_Broken]:
    how = ENDINGS[event.kind]
    hold = watch.holds.pop(event.data["id"], None)
    if how == "released":
        yield from _still(watch, event, hold, "released")
    if hold is not None and hold.effective:
        setattr(counts, how, getattr(counts, how) + 1)


def _still(watch: Watch, event: Event, hold: Hold | None, what: str) -> Iterator[_Broken]:
    """That the one who was taken for the holder was the holder."""
    if hold is not None and hold.until_us > _at_us(event):
        return
    if not watch.known and (hold is None or not hold.effective):
        return  # It may well have been, since.
    who = f"a former holder (token {event.data.get('token', 0)})" if hold is None else hold.owner
    why = "its hold was over" if hold is None else f"its lease ended at {_time(hold.until_us)}"
    yield (
        ViolationKind.AFTER_LOSS,
        f"{what} at {_time(_at_us(event))} by {who} although {why}",
        {"holds": [] if hold is None else [_interval(hold)], "id": event.data.get("id")},
    )


def _refused(_watch: Watch, _event: Event, counts: Counts) -> Iterator[_Broken]:
    counts.releases_refused += 1
    return iter(())


def _resynced(watch: Watch, event: Event, _counts: Counts) -> Iterator[_Broken]:
    told = [_told(each) for each in event.data["holders"]]
    watch.holds = {each.id: each for each in told}
    tokens = [each.token for each in told]
    watch.token = max([watch.token, int(event.data.get("token") or 0), *tokens])
    watch.known, watch.floor = True, watch.token
    return iter(())


def _told(said: Mapping[str, Any]) -> Hold:
    return Hold(
        id=said["id"],
        token=said["token"],
        mode=said["mode"],
        limit=said["limit"],
        owner=said["owner"],
        since_us=_us(datetime.fromisoformat(said["since"])),
        until_us=_us(datetime.fromisoformat(said["until"])),
        effective=said["state"] == "held",
    )


def _interval(hold: Hold) -> dict[str, Any]:
    return {
        "owner": hold.owner,
        "token": hold.token,
        "mode": hold.mode,
        "limit": hold.limit,
        "since": moment(hold.since_us).isoformat(),
        "until": moment(hold.until_us).isoformat(),
    }


def _time(us: int) -> str:
    return moment(us).strftime("%H:%M:%S.%f")


_RULES: dict[str, Callable[[Watch, Event, Counts], Iterator[_Broken]]] = {
    "lock.handed": _handed,
    "lock.granted": _granted,
    "lock.renewed": _renewed,
    "lock.released": _over,
    "lock.expired": _over,
    "lock.forced": _over,
    "lock.release_refused": _refused,
    "lock.resynced": _resynced,
}
