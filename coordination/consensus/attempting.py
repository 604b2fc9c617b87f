"""One register in a call: which message is sent of it next, and what is known of it so far.

Pure but for the letters of a ballot, which are drawn by whoever calls.
"""

from dataclasses import dataclass, field

from coordination.consensus import proposer
from coordination.consensus.answers import Answer, Chosen, Unchosen, Unknown
from coordination.consensus.messages import Look, Message, Offer, Prepare
from coordination.consensus.proposer import Attempt, Looked, Phase
from coordination.consensus.types import (
    OPENING,
    ROUND_MAX,
    Agreed,
    Ballot,
    Promised,
    Refused,
    Register,
    Reply,
    Seen,
)


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a call has come with one register."""

    register: Register
    wish: str | None
    """What the caller wants chosen; None: it only wants to know."""
    looks: bool = False
    """Whether to look first, without a promise."""
    peeks: bool = False
    """Whether to do no more than that."""
    answer: Answer | None = None
    """What the caller is told; None while that is not known."""
    moved: bool = False
    """Whether this round has brought it into another phase, so that no more need be heard."""
    attempt: Attempt | None = None
    offered: bool = False
    """Whether the wish was sent with any ballot, and so may yet be chosen."""
    _opens: bool = field(init=False)
    _highest: Ballot = OPENING
    _seen: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Ballot 0 is for the opening alone."""
        self._opens = self.wish is not None and self.wish == self.register.opening

    def message(self, *, acceptors: int, letters: str) -> Message | None:
        """What is sent to the acceptors in this round. None: there is no ballot left."""
        self.moved = False
        if self.looks:
            self._seen = []
            return Look(self.register)
        if self.attempt is None or self.attempt.phase is not Phase.OFFERING:
            if self._highest.round >= ROUND_MAX:
                return None
            self.attempt = self._begun(acceptors, letters)
        attempt = self.attempt
        if attempt.phase is Phase.PREPARING:
            return Prepare(self.register, attempt.ballot)
        assert attempt.value is not None
        self.offered |= attempt.value == self.wish
        return Offer(self.register, attempt.ballot, attempt.value)

    def _begun(self, acceptors: int, letters: str) -> Attempt:
        if self._opens:
            # A second time, ballot 0 would meet the same promises.
            self._opens = False
            assert self.register.opening is not None
            return proposer.begin_opening(self.register.opening, acceptors=acceptors)
        ballot = Ballot(self._highest.round + 1, letters)
        return proposer.begin(ballot, acceptors=acceptors, wish=self.wish)

    def hear(self, alias: str, reply: Reply, *, acceptors: int) -> None:
        """Take one acceptor's answer to this round's message."""
        if self.moved:
            return
        if self.looks:
            assert isinstance(reply, Seen)
            self._seen.append(reply)
            self._looked(acceptors)
            return
        assert self.attempt is not None
        assert isinstance(reply, Promised | Agreed | Refused)
        before = self.attempt.phase
        self.attempt = proposer.step(self.attempt, alias, reply)
        self.moved = self.attempt.phase is not before
        if self.attempt.phase is Phase.LEARNED:
            assert self.attempt.value is not None
            self.answer = Chosen(self.attempt.value)
        elif self.attempt.phase is Phase.EMPTY:
            self.answer = Unchosen()

    def _looked(self, acceptors: int) -> None:
        looked, value = proposer.look(self._seen, acceptors=acceptors)
        if looked is Looked.WAITING:
            return
        self.moved, self.looks = True, False
        if looked is Looked.CHOSEN:
            assert value is not None
            self.answer = Chosen(value)
        elif looked is Looked.NOTHING:
            self.answer = Unchosen()
        elif self.peeks:
            self.answer = Unknown("something was accepted, and whether it is chosen was not asked")

    @property
    def is_refused(self) -> bool:
        """Whether an acceptor has promised a higher ballot, so that one above it may do better."""
        return self.attempt is not None and bool(self.attempt.refused)

    @property
    def goes_on(self) -> bool:
        """Whether its next message follows from this round, so that no time should be lost."""
        if self.attempt is None:
            return self.moved
        return self.moved and self.attempt.phase is Phase.OFFERING

    def give_up(self) -> None:
        """Begin anew with a higher ballot: this attempt got no further, or its view has passed."""
        if self.attempt is not None:
            self._highest = max(self._highest, self.attempt.highest)
            self.attempt = None

    def fail(self, why: str) -> None:
        """Nothing more can be learned in time."""
        self.answer = Unknown(why, offered=self.offered)
