"""Judges ended transactions against every database that can be seen from here. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import connections

from coordination.transactions import proofs
from coordination.transactions.judging import EndedBranch, EndedTransaction, Finding, Proofs, judge
from coordination.transactions.proofs import Found, Prepared, Unseen

LEFT_PREPARED_S = 60
"""How long after its end a transaction may have a branch prepared.

A message delivered twice can prepare a branch anew after its no vote; the sweeper rolls it back
within seconds. Until then the transaction is not judged.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What came of judging some transactions.

    `judged` are those whose databases all answered and that left nothing prepared for the sweeper;
    `unseen_branches` of theirs are on other nodes, whose databases cannot be seen from here. `dead`
    says why a database did not answer.
    """

    judged: tuple[EndedTransaction, ...]
    findings: tuple[Finding, ...]
    unseen_branches: int
    dead: Mapping[str, str]
    prepared: tuple[Prepared, ...]
    asked: tuple[str, ...]


class Examiner:
    """Judges for one node: it sees the databases of its own branches, and no other node's."""

    def __init__(self, *, node: str) -> None:
        self._node = node

    def visible(self, branch: EndedBranch) -> bool:
        """Whether the branch's database can be seen from here.

        An alias of another node may be another database of the same name.
        """
        return branch.node == self._node and branch.using in connections.databases

    def examine(
        self, transactions: Sequence[EndedTransaction], *, also: Iterable[str] = ()
    ) -> Examination:
        """Judge `transactions`; ask the databases `also`, too, for what is prepared there."""
        found, dead = self._ask(transactions, also)
        prepared = tuple(branch for one in found.values() for branch in one.prepared)
        judged = tuple(
            transaction
            for transaction in transactions
            if not any(self.visible(b) and b.using in dead for b in transaction.branches)
            and not _left_to_the_sweeper(transaction, prepared)
        )
        suspects = self._judge(judged, proofs.together(found.values()))
        findings: tuple[Finding, ...] = ()
        if suspects:
            # A finding stays until a person acknowledges it, so it is looked at twice.
            gids = {finding.gid for finding in suspects}
            again = [transaction for transaction in judged if transaction.gid in gids]
            second, died = self._ask(again)
            if not died:
                findings = self._judge(again, proofs.together(second.values()))
            else:
                dead = {**dead, **died}
                judged = tuple(t for t in judged if t.gid not in gids)
        return Examination(
            judged=judged,
            findings=findings,
            unseen_branches=sum(not self.visible(b) for t in judged for b in t.branches),
            dead=dead,
            prepared=prepared,
            asked=tuple(sorted({*found, *dead})),
        )

    def _ask(
        self, transactions: Sequence[EndedTransaction], also: Iterable[str] = ()
    ) -> tuple[dict[str, Found], dict[str, str]]:
        gids: dict[str, list[str]] = {using: [] for using in also}
        for transaction in transactions:
            for branch in transaction.branches:
                if self.visible(branch):
                    gids.setdefault(branch.using, []).append(transaction.branch_gid(branch.seq))
        found: dict[str, Found] = {}
        dead: dict[str, str] = {}
        for using, wanted in sorted(gids.items()):
            try:
                found[using] = proofs.read(using, wanted)
            except Unseen as unseen:
                dead[using] = str(unseen)
        return found, dead

    def _judge(
        self, transactions: Sequence[EndedTransaction], shown: Proofs
    ) -> tuple[Finding, ...]:
        return tuple(
            finding
            for transaction in transactions
            for finding in judge(transaction, shown, seen=self.visible)
        )


def _left_to_the_sweeper(transaction: EndedTransaction, prepared: Iterable[Prepared]) -> bool:
    if transaction.ended_age_s > LEFT_PREPARED_S:
        return False
    return any(branch.branch_gid.startswith(f"cc:{transaction.gid}:") for branch in prepared)
