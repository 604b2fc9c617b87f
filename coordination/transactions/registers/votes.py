"""The vote registers of a Paxos commit, in the quorum of COORDINATION["CONSENSUS"].

A branch's own yes is the opening of its register: a majority that accepts it makes it last in one
round trip. Whoever cannot wait for a vote writes no in its place.
"""

from collections.abc import Iterable, Mapping, Sequence

from coordination.consensus.answers import Answer, Chosen, value_of
from coordination.consensus.group import RegisterGroup, register_group
from coordination.consensus.naming import PAXOS
from coordination.consensus.types import Register
from coordination.kernel.gids import Electorate
from coordination.transactions.protocols import paxos
from coordination.transactions.types import Ballot, Outcome


def chosen(gid: str, electorate: Electorate, ballots: Sequence[Ballot]) -> list[Ballot]:
    """Let registers hold these votes; returns the votes as they hold them.

    Raises StoreUnavailable, or OutcomeUnknown: they may hold them, and whoever asks again is told.
    """
    held = _written(gid, electorate, {ballot.seq: ballot.vote.value for ballot in ballots})
    return [paxos.counted(ballot, held[ballot.seq]) for ballot in ballots]


def closed(gid: str, electorate: Electorate, seqs: Sequence[int], *, reason: str) -> list[Ballot]:
    """Write no for branches without a vote; returns what their registers hold. Raises as above."""
    held = _written(gid, electorate, dict.fromkeys(seqs, paxos.NO))
    return [paxos.found(seq, held[seq], reason) for seq in seqs]


def outcome(gid: str, electorate: Electorate) -> Outcome | None:
    """What the votes make of the transaction, without its row; None: one is missing.

    Raises StoreUnavailable, OutcomeUnknown, RegisterForgotten.
    """
    seqs = range(1, electorate.branches + 1)
    answers = _group(electorate).read_many([_key(gid, seq) for seq in seqs])
    if Chosen(paxos.NO) in answers.values():
        return Outcome.ABORTED
    return paxos.outcome(_held(gid, answers, seqs, electorate).values())


def aborted(gid: str, electorate: Electorate) -> Outcome:
    """Give up on votes that are missing; returns what all make of the transaction. Raises so."""
    seqs = range(1, electorate.branches + 1)
    found = paxos.outcome(_written(gid, electorate, dict.fromkeys(seqs, paxos.NO)).values())
    assert found is not None, "every register holds a vote now"
    return found


def _written(gid: str, electorate: Electorate, wishes: Mapping[int, str]) -> dict[int, str]:
    answers = _group(electorate).write_many({_key(gid, seq): wish for seq, wish in wishes.items()})
    held = _held(gid, answers, wishes, electorate)
    return {seq: vote for seq, vote in held.items() if vote is not None}


def _held(
    gid: str, answers: Mapping[str, Answer], seqs: Iterable[int], electorate: Electorate
) -> dict[int, str | None]:
    return {
        seq: value_of(answers[_key(gid, seq)], _register(gid, seq, electorate), store=PAXOS)
        for seq in seqs
    }


def _group(electorate: Electorate) -> RegisterGroup:
    return register_group(period=electorate.period, opening=paxos.YES, using=PAXOS)


def _register(gid: str, seq: int, electorate: Electorate) -> Register:
    return Register(name=_key(gid, seq), period=electorate.period, opening=paxos.YES)


def _key(gid: str, seq: int) -> str:
    return f"{gid}:{seq}"
