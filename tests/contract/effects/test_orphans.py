"""Room that is held for transactions: shown, and let go by a person where no row is left."""

import json

import pytest
from django.core.management import call_command

from coordination.exceptions import InvalidArgument
from coordination.transactions import kept, operations, sweeper
from coordination.transactions.types import Outcome, Work
from tests.databases import ALIASES
from tests.effects import COUNTERS_HELD, QUEUES_HELD, Effect, effect_of, finish, prepared

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)
WHO = {"actor": "ann", "reason": "its rows were lost with the disk"}


@pytest.fixture(params=[*COUNTERS_HELD, *QUEUES_HELD])
def far(request: pytest.FixtureRequest, transactional_db: None) -> Effect:
    made = effect_of(request)
    made.room = None if made.using == "rabbitmq" else 2
    return made


def held_by(work: Work) -> list[kept.Held]:
    found, unseen = kept.holds()
    assert unseen == []
    return [each for each in found if each.gid == work.gid]


def ours(effect: Effect) -> Work:
    """A branch of this node's; its transaction has no row."""
    return effect.work(units=2, node="bank")


def test_what_is_held_is_told_until_it_has_ended(far: Effect) -> None:
    work = prepared(ours(far))
    (held,) = held_by(work)

    finish(work, Outcome.COMMITTED)

    assert (held.name, held.store, held.amount) == (far.name, far.using, 2)
    assert held_by(work) == []


def test_what_is_held_without_a_row_is_left_alone_until_somebody_lets_go_of_it(
    far: Effect, capsys: pytest.CaptureFixture[str]
) -> None:
    work = prepared(ours(far))
    sweeper.sweep_once()
    call_command("concord", "resolve", "--json")
    told = json.loads(capsys.readouterr().out)["held"]

    assert [(each["row"], each["name"]) for each in told if each["gid"] == work.gid] == [
        (False, far.name)
    ]
    with pytest.raises(InvalidArgument, match="only be aborted"):
        operations.resolve_orphan(work.gid, outcome="committed", **WHO)
    assert operations.resolve_orphan(work.gid, outcome="aborted", **WHO) == 1
    assert held_by(work) == []
    far.do()
    far.do()
    assert far.seen() == 2
