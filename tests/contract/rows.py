"""Transactions as bare rows, without participants: what the SQL functions are tested with."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

from coordination.transactions.machine import BranchRow
from coordination.transactions.stores.database import DatabaseStore
from coordination.transactions.tables import Transaction
from coordination.transactions.types import Form, Mode, NewBranch, NewTransaction, Protocol

BY = "a test"
_numbers = itertools.count(1)


def store() -> DatabaseStore:
    return DatabaseStore("default", patience_ms=2_000)


def new_gid() -> str:
    return f"rows-{next(_numbers):08x}-{0:016x}"


def new(
    gid: str,
    forms: Sequence[Form] = (Form.PREPARE,),
    *,
    digest: str = "d",
    deadline_ms: int = 60_000,
) -> NewTransaction:
    """A transaction of branches of the given forms."""
    return NewTransaction(
        gid=gid,
        name="rows",
        protocol=Protocol.TWO_PHASE,
        node="rows",
        key=None,
        digest=digest,
        deadline_ms=deadline_ms,
        patience_ms=2_000,
        mailbox="",
        then_signature=None,
        branches=tuple(
            NewBranch(
                seq=seq,
                participant=f"test.rows.{seq}",
                node="rows",
                using="bank_a",
                mode=Mode.XA,
                form=form,
                inline=True,
                args={},
            )
            for seq, form in enumerate(forms, start=1)
        ),
        by=BY,
    )


def begun(*forms: Form) -> str:
    """The gid of a transaction that has just begun."""
    gid = new_gid()
    store().begin(new(gid, forms or (Form.PREPARE,)))
    return gid


def begun_as(branches: Sequence[BranchRow], *, protocol: Protocol) -> str:
    """The gid of a transaction whose rows are those of the reference model."""
    gid = new_gid()
    plain = new(gid, [branch.form for branch in branches])
    ranked = tuple(
        replace(new_branch, mode=branch.mode, after=branch.after)
        for new_branch, branch in zip(plain.branches, branches, strict=True)
    )
    store().begin(replace(plain, protocol=protocol, branches=ranked))
    return gid


def row(gid: str) -> Transaction:
    return Transaction.objects.get(gid=gid)
