"""What branches have left whose rows are not where it is found, or not there any more."""

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from coordination.transactions.forgetting import Forgetter, Kept
from coordination.transactions.tables import Barrier, Transaction, Witness
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import ledger
from tests.integration.aging import age, forget, judge, left, remembered
from tests.integration.observing import hold, move
from tests.integration.test_forgetting import FORMS, _ledgers, done, everywhere, fates

__all__ = ["_ledgers"]

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)


def test_a_branch_that_is_still_reserved_is_never_forgotten() -> None:
    """Its rows are lost; that is no reason to forget that there is something to be undone."""
    gid = hold()
    Barrier.objects.using("bank_b").exclude(op="try").delete()
    Transaction.objects.filter(gid=gid).delete()
    age()
    forget()

    assert left("bank_b") == 1


def test_a_witness_whose_rows_are_gone_is_found_by_the_walk() -> None:
    move()
    Transaction.objects.all().delete()
    ledger.execute("default", "DELETE FROM concord_branch")
    forget()
    assert everywhere() == 2

    age()
    forget()
    assert everywhere() == 0


@pytest.mark.parametrize("key", [None, "order 9"])
def test_what_it_left_in_ours_goes_when_it_has_forgotten(key: str | None) -> None:
    """Two nodes that share the coordinator's tables; each has databases of its own."""
    done(FORMS["xa"], key=key)
    judge()
    age()
    ledger.execute("default", "UPDATE concord_branch SET node = 'shop' WHERE seq = 2")
    move()  # by which its rows are known to be here
    Forgetter().step()
    assert left("bank_b") == 2

    with override_settings(COORDINATION=django_settings.COORDINATION | {"NODE": "shop"}):
        forget()
    assert left("bank_b") == 1


def test_what_a_stranger_left_stays_a_retention_longer_than_it_was_seen() -> None:
    """Nobody here can know whether its coordinator has heard that it has ended."""
    Witness.objects.using("bank_a").create(
        branch_gid="cc:far-00000000-0000000000000000:1", kind="W", at="2020-01-01T00:00Z"
    )
    for op in ("try", "confirm"):
        Barrier.objects.using("bank_b").create(
            branch_gid="cc:far-00000000-0000000000000000:2",
            op=op,
            reason=op,
            at="2020-01-01T00:00Z",
        )
    Barrier.objects.using("bank_b").create(
        branch_gid="cc:far-00000000-0000000000000000:3",
        op="try",
        reason="try",
        at="2020-01-01T00:00Z",
    )
    forget()
    assert (left("bank_a"), left("bank_b")) == (1, 1)

    age(days=6)
    forget()
    assert left("bank_a") == 1

    age(days=2)
    forget()
    assert (left("bank_a"), left("bank_b")) == (0, 1)


def test_a_keyed_transaction_with_branches_elsewhere_waits_until_those_are_forgotten() -> None:
    gid = done(FORMS["xa"], key="order 9")
    ledger.execute("default", "UPDATE concord_branch SET node = 'far' WHERE seq = 2")
    judge()
    age()
    forget()
    assert (fates(), Transaction.objects.get().gid) == ([Kept.ELSEWHERE], gid)

    age(days=14)
    forget()
    assert remembered() == 0
