"""Bodies that keep or break the rules of a branch: participants `test.rule.<name>.<alias>`."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from celery import signature
from django.db import DatabaseError, IntegrityError, connections, transaction

from coordination import participant
from coordination.transactions.context import Context
from coordination.transactions.tables import Barrier
from tests.integration.ledger import ALIASES, execute

Body = Callable[[Context, str], None]

BROKEN: dict[str, str] = {}
"""Body that gets a no → what its reason must say."""
KEPT: dict[str, str] = {}
"""Body that is fine → its vote."""
UNPREPARABLE: dict[str, str] = {}
"""Body that is fine unless it is to be prepared → what the reason must say then."""
ESCAPED: list[str] = []
"""Bodies whose work was committed behind our back."""

NAP = threading.Event()


def registered(body: Body) -> str:
    for using in ALIASES:
        participant(f"test.rule.{body.__name__}.{using}", using=using)(bound(body, using))
    return body.__name__


def bound(body: Body, using: str) -> Callable[[Context], None]:
    def run(ctx: Context) -> None:
        body(ctx, using)

    run.__qualname__ = f"{body.__name__}.{using}"
    return run


def broken(reason: str) -> Callable[[Body], Body]:
    def decorate(body: Body) -> Body:
        BROKEN[registered(body)] = reason
        return body

    return decorate


def unpreparable(reason: str) -> Callable[[Body], Body]:
    def decorate(body: Body) -> Body:
        UNPREPARABLE[registered(body)] = reason
        return body

    return decorate


def kept(vote: str = "yes") -> Callable[[Body], Body]:
    def decorate(body: Body) -> Body:
        KEPT[registered(body)] = vote
        return body

    return decorate


def escaped(body: Body) -> Body:
    ESCAPED.append(registered(body))
    return body


def change(using: str) -> None:
    execute(using, "UPDATE ledger SET amount = amount - 1 WHERE id = 1")


# Broken rules


@broken("asked to refuse")
def votes_no(ctx: Context, using: str) -> None:
    change(using)
    ctx.vote_no("asked to refuse")


@broken("swallowed")
def swallows_its_own_no(ctx: Context, using: str) -> None:
    change(using)
    with suppress(Exception):
        ctx.vote_no("swallowed")


@broken("RuntimeError: it broke")
def raises(ctx: Context, using: str) -> None:
    change(using)
    raise RuntimeError("it broke")


@broken("IntegrityError: mine")
def raises_a_database_error_of_its_own(ctx: Context, using: str) -> None:
    change(using)
    raise IntegrityError("mine")


@broken("duplicate key")
def breaks_a_constraint(ctx: Context, using: str) -> None:
    change(using)
    execute(using, "INSERT INTO ledger VALUES (1, 1)")


@broken("aborted|rollback|transaction")
def swallows_a_database_error(ctx: Context, using: str) -> None:
    change(using)
    with suppress(DatabaseError):
        execute(using, "INSERT INTO ledger VALUES (1, 1)")


@broken("rollback|atomic")
def swallows_an_error_of_a_block_without_savepoint(ctx: Context, using: str) -> None:
    change(using)
    with suppress(RuntimeError), transaction.atomic(using=using, savepoint=False):
        raise RuntimeError("inside")


@broken("atomic")
def works_on_after_a_block_without_savepoint_failed(ctx: Context, using: str) -> None:
    swallows_an_error_of_a_block_without_savepoint(ctx, using)
    change(using)


@broken("rollback")
def marks_rollback(ctx: Context, using: str) -> None:
    change(using)
    transaction.set_rollback(True, using=using)


@broken("ended the transaction|no longer|not the transaction")
def rolls_back(ctx: Context, using: str) -> None:
    change(using)
    execute(using, "ROLLBACK")


@broken("ended the transaction|no longer|not the transaction")
def rolls_back_and_works_on(ctx: Context, using: str) -> None:
    change(using)
    execute(using, "ROLLBACK")
    change(using)


@unpreparable("NOTIFY|LISTEN")
def notifies(ctx: Context, using: str) -> None:
    change(using)
    execute(using, "NOTIFY somebody")


@unpreparable("temporary")
def uses_a_temporary_table(ctx: Context, using: str) -> None:
    execute(using, "CREATE TEMPORARY TABLE passing (n int) ON COMMIT DROP")
    change(using)


@broken("on_commit")
def uses_on_commit(ctx: Context, using: str) -> None:
    change(using)
    transaction.on_commit(lambda: None, using=using)


@broken("statement timeout|statement_timeout")
def waits_in_a_statement(ctx: Context, using: str) -> None:
    change(using)
    execute(using, "SELECT pg_sleep(20)")


@broken("deadline")
def returns_late(ctx: Context, using: str) -> None:
    change(using)
    NAP.wait((ctx.remaining or 0) + 0.05)


@broken("function")
def leaves_a_function_for_after_the_commit(ctx: Context, using: str) -> None:
    change(using)
    ctx.after_commit(print)  # type: ignore[arg-type]


# Bodies that got away


@escaped
def commits_by_itself(ctx: Context, using: str) -> None:
    change(using)
    execute(using, "COMMIT")


@escaped
def commits_and_begins_again(ctx: Context, using: str) -> None:
    change(using)
    execute(using, "COMMIT")
    execute(using, "BEGIN")


@escaped
def commits_and_raises(ctx: Context, using: str) -> None:
    change(using)
    execute(using, "COMMIT")
    raise RuntimeError("too late")


@escaped
def commits_and_refuses(ctx: Context, using: str) -> None:
    change(using)
    execute(using, "COMMIT")
    ctx.vote_no("too late")


# What is allowed


@kept()
def only_changes(ctx: Context, using: str) -> None:
    change(using)


@kept()
def recovers_by_a_nested_block(ctx: Context, using: str) -> None:
    change(using)
    with suppress(IntegrityError), transaction.atomic(using=using):
        execute(using, "INSERT INTO ledger VALUES (1, 1)")


@kept()
def uses_a_savepoint(ctx: Context, using: str) -> None:
    change(using)
    saved = transaction.savepoint(using=using)
    change(using)
    transaction.savepoint_rollback(saved, using=using)


def barriers(ctx: Context, *names: str) -> list[Barrier]:
    from django.utils import timezone

    return [
        Barrier(branch_gid=f"{ctx.branch}-{name}", op="try", reason="try", at=timezone.now())
        for name in names
    ]


@kept()
def uses_the_orm(ctx: Context, using: str) -> None:
    """get_or_create and bulk_create open savepoints of their own."""
    change(using)
    rows = Barrier.objects.using(using)
    rows.bulk_create(barriers(ctx, "a", "b"))
    found: tuple[Any, bool] = rows.get_or_create(branch_gid=f"{ctx.branch}-a", op="try")
    assert found[1] is False
    rows.filter(branch_gid__startswith=ctx.branch).delete()


@kept()
def locks_and_changes(ctx: Context, using: str) -> None:
    execute(using, "SELECT amount FROM ledger WHERE id = 1 FOR UPDATE")
    change(using)


@kept()
def leaves_a_message_for_after_the_commit(ctx: Context, using: str) -> None:
    change(using)
    ctx.after_commit(signature("test.mail", args=("hello",), queue="test.mail", immutable=True))


@kept()
def leaves_only_a_message(ctx: Context, using: str) -> None:
    """Writes nothing itself, yet what it leaves must survive."""
    ctx.after_commit(signature("test.mail", args=("hello",), queue="test.mail", immutable=True))


@kept("read_only")
def only_reads(ctx: Context, using: str) -> None:
    execute(using, "SELECT amount FROM ledger")


@kept("read_only")
def touches_nothing(ctx: Context, using: str) -> None:
    assert connections[using].in_atomic_block
