"""Transactions to be observed and audited, and an observer's surroundings, for tests."""

import secrets
from collections.abc import Sequence
from contextlib import suppress

from coordination import conf, distributed_transaction, registry
from coordination.exceptions import TransactionAborted
from coordination.observing.feed import Feed
from coordination.observing.fences import Fenced
from coordination.observing.journal import Journal
from coordination.observing.observer import Observer
from coordination.transactions.recording import TransactionProjection
from tests.integration import ledger  # noqa: F401 - its participants


def move(cents: int = 10) -> str:
    """Move money from bank_a to bank_b; returns the gid. More than 100 is voted down."""
    tx = distributed_transaction("move")
    with suppress(TransactionAborted), tx:
        tx.enlist("test.a.add", cents=cents)
        tx.enlist("test.b.add", cents=-cents)
    assert tx.gid is not None
    return tx.gid


def hold(cents: int = 40, spend: int = 40) -> str:
    """Hold money in bank_b (TCC) and spend it in bank_a; a `spend` below -100 is voted down."""
    tx = distributed_transaction("hold")
    with suppress(TransactionAborted), tx:
        tx.enlist("test.b.hold", cents=cents)
        tx.enlist("test.a.add", cents=spend)
    assert tx.gid is not None
    return tx.gid


def pay(cents: int = 40, spend: int = 40) -> str:
    """Take money from bank_b, then spend it in bank_a; a `spend` below -100 is voted down."""
    tx = distributed_transaction("pay", protocol="saga")
    with suppress(TransactionAborted), tx:
        tx.enlist("test.b.pay", cents=cents)
        tx.enlist("test.a.add", cents=spend)
    return tx.gid


def a_feed() -> Feed:
    """A feed of its own in the tests' Redis."""
    mailbox = conf.current().transactions.mailbox
    assert mailbox is not None
    return Feed(registry.redis_store(mailbox), f"test-{secrets.token_hex(4)}")


def an_observer(feed: Feed | None) -> Observer:
    """An observer of the tests' transactions."""
    return Observer(Journal("default"), [TransactionProjection()], feed)


def drain(observer: Observer) -> int:
    """Observe until nothing is left; returns how many events this observer sequenced."""
    total = 0
    while True:
        with suppress(Fenced):
            done = observer.step()
            total += done
            if done == 0:
                return total


def seqs(messages: Sequence[dict[str, object]]) -> list[object]:
    """The positions of messages."""
    return [message["seq"] for message in messages]
