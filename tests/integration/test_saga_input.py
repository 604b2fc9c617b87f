"""What a saga may not look like: an error that names the rule, before anything happens."""

from collections.abc import Iterator
from typing import Any

import pytest

from coordination import Saga, distributed_transaction
from coordination.exceptions import InvalidArgument, UnknownParticipant
from coordination.transactions import participants, tasks
from coordination.transactions.api import DistributedTransaction
from coordination.transactions.tables import Transaction
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import saga_steps
from tests.integration.saga_steps import journal

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)


@pytest.fixture(autouse=True)
def _journals(transactional_db: None) -> Iterator[None]:
    with saga_steps.journals():
        yield
        assert journal() == []
        assert not Transaction.objects.exists()


def saga() -> DistributedTransaction:
    return distributed_transaction("order", protocol="saga")


def refused(match: str, tx: DistributedTransaction, name: str, **options: Any) -> None:
    with pytest.raises(InvalidArgument, match=match):
        tx.enlist(name, step="x", cents=1, **options)


@pytest.mark.parametrize("option", [{"after": []}, {"pivot": True}])
def test_only_a_saga_has_an_order(option: dict[str, Any]) -> None:
    refused('pass protocol="saga"', distributed_transaction("plain"), "test.saga.a", **option)


@pytest.mark.parametrize("after", [1, "1", [1], ["1"], [None], True])
def test_what_comes_before_is_named_by_what_enlist_returned(after: Any) -> None:
    refused("what enlist returned", saga(), "test.saga.a", after=after)


def test_a_single_step_is_no_list_of_steps() -> None:
    tx = saga()
    refused("a list", tx, "test.saga.a", after=tx.enlist("test.saga.b", step="1", cents=1))


def test_a_step_of_another_transaction_is_unknown() -> None:
    refused("of another", saga(), "test.saga.a", after=[saga().enlist("test.a.add", cents=1)])


def test_there_is_one_pivot() -> None:
    tx = saga()
    tx.enlist("test.saga.a", pivot=True, step="1", cents=1)
    refused("one pivot, and it is step 1", tx, "test.saga.b", pivot=True)
    refused("True or False", tx, "test.saga.b", pivot="yes")


def test_what_nothing_can_undo_is_the_pivot_or_comes_after_it() -> None:
    refused("no compensate", distributed_transaction("plain"), "test.saga.ship_a")
    tx = saga()
    refused("no compensate", tx, "test.saga.ship_a")
    one = tx.enlist("test.saga.a", step="1", cents=1)
    tx.enlist("test.saga.ship_a", pivot=True, step="2", cents=1)
    refused("no compensate", tx, "test.saga.ship_b", after=[one])
    tx.enlist("test.saga.ship_b", step="3", cents=1)


def test_a_refused_step_leaves_the_order_as_it_was() -> None:
    tx = saga()
    first = tx.enlist("test.saga.a", step="1", cents=1)
    refused("no compensate", tx, "test.saga.ship_a")
    with pytest.raises(UnknownParticipant):
        tx.enlist("test.saga.nobody", step="2")

    assert (first.number, tx.enlist("test.saga.b", step="2", cents=1).number) == (1, 2)


def test_a_saga_without_action_is_refused_where_it_is_defined() -> None:
    with pytest.raises(InvalidArgument, match="Nothing lacks action"):
        type("Nothing", (Saga,), {"name": "test.saga.nothing"})
    with pytest.raises(InvalidArgument, match="compensate must be a method"):
        body = {"name": "test.saga.odd", "action": lambda self, ctx: None, "compensate": 7}
        type("Odd", (Saga,), body)

    assert not {"test.saga.nothing", "test.saga.odd"} & set(participants.registered())


@pytest.mark.parametrize("after", ["1", [0], [2], ["1"], [3], [1.0], [True], [[1]], {}])
def test_a_task_names_steps_by_the_numbers_of_those_before(after: Any) -> None:
    step = {"participant": "test.saga.a", "args": {"step": "1", "cents": 1}}
    told = tasks.begin("order", [step, step | {"after": after}], op_id="1", protocol="saga")

    assert (told["ok"], told["applied"]) == (False, False)
    assert "from 1" in told["message"]


def test_an_argument_of_a_task_cannot_pass_for_an_option() -> None:
    step = {"participant": "test.saga.a", "args": {"step": "1", "cents": 1, "pivot": True}}
    told = tasks.begin("order", [step], op_id="1", protocol="saga")

    assert "cannot be called 'pivot'" in told["message"]
