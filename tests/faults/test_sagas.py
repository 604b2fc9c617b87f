"""kill -9, lost replies, late messages, a restart: a saga is done, or undone in its order."""

import json
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from django.db import connections

from config.servers import ServerError, Servers
from coordination import distributed_transaction, failpoints
from coordination.transactions import sweeper
from coordination.transactions.api import DistributedTransaction
from coordination.transactions.branches import barrier
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import broker, saga_steps
from tests.integration.forked_child import fork
from tests.integration.ledger import execute
from tests.integration.postgresql_proxy import PostgresProxy
from tests.integration.saga_runs import (
    DUE,
    EXPIRED,
    TASKS,
    assert_all_or_nothing,
    by_workers,
    deliver,
    enlist_pivot,
    enlist_three,
    sweep_until_it_ended,
    taken,
    work_off,
)
from tests.integration.saga_steps import hooks, journal

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

ACT = ("branch.prepare.after", "branch.vote.before", "branch.vote.after")
END = ("branch.finish.after", "branch.ack.before", "branch.ack.after")
Enlist = Callable[[DistributedTransaction], None]
refused = partial(enlist_three, refuse=True)

COMMITS: list[tuple[Enlist, str, str]] = [
    *((enlist_three, "1.action", point) for point in (*ACT, "branch.prepare.before")),
    *((enlist_three, "2.action", point) for point in (*ACT, "branch.prepare.before")),
    *((enlist_three, "3.action", point) for point in ACT),
    *((enlist_pivot, "2.action", point) for point in (*ACT, "branch.finish.before")),
    (enlist_pivot, "2.action", "branch.prepare.before"),
    *((enlist_pivot, "3.action", point) for point in END),
]
"""What is enlisted; the step in which the failpoint is armed; the point at which it is met next."""

ABORTS: list[tuple[Enlist, str, str]] = [
    *((refused, "3.action", point) for point in (*ACT[1:], "branch.finish.before")),
    *((refused, "2.compensate", point) for point in (*END, "branch.finish.before")),
    *((refused, "1.compensate", point) for point in END),
]


def case(value: object) -> str:
    return str(getattr(value, "__name__", "refused" if callable(value) else value))


@pytest.fixture(autouse=True)
def _journals(transactional_db: None) -> Iterator[None]:
    broker.clear()
    with saga_steps.journals():
        yield
    broker.clear()


def arm(folder: Path, point: str) -> None:
    (folder / f"{point}.arm").write_text(json.dumps({"action": "kill", "signal": 9}))


def killed(work: Callable[[], object], folder: Path, at: str, point: str) -> None:
    """Let a process do it that dies at `point`, once it has come to `at`."""
    connections.close_all()

    def child() -> bool:
        failpoints._directory = str(folder)
        if point == "at once":
            hooks[at] = partial(os.kill, os.getpid(), signal.SIGKILL)
        else:
            hooks[at] = partial(arm, folder, point)
        work()
        return True

    _, status = os.waitpid(fork(child), 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, f"{point} was not reached"


def saga(enlist: Enlist) -> DistributedTransaction:
    tx = distributed_transaction("killed", protocol="saga", deadline=60)
    enlist(tx)
    return tx


@pytest.mark.parametrize(("enlist", "at", "point"), COMMITS, ids=case)
def test_a_caller_killed_at_any_step_of_a_commit_delays_it_and_nothing_else(
    enlist: Enlist, at: str, point: str, tmp_path: Path
) -> None:
    tx = saga(enlist)

    killed(tx.submit, tmp_path, at, point)
    row = sweep_until_it_ended(tx.gid)

    assert row.outcome == "committed"
    assert_all_or_nothing(row)


@pytest.mark.parametrize(("enlist", "at", "point"), ABORTS, ids=case)
def test_a_caller_killed_at_any_step_of_an_abort_leaves_nothing_done(
    enlist: Enlist, at: str, point: str, tmp_path: Path
) -> None:
    tx = saga(enlist)

    killed(tx.submit, tmp_path, at, point)
    row = sweep_until_it_ended(tx.gid)

    assert row.outcome == "aborted"
    assert journal().count("compensate 1") == 1
    assert_all_or_nothing(row)


@pytest.mark.parametrize(("enlist", "at", "point"), COMMITS, ids=case)
def test_what_a_killed_caller_leaves_past_the_deadline_is_undone_unless_it_was_decided(
    enlist: Enlist, at: str, point: str, tmp_path: Path
) -> None:
    tx = saga(enlist)

    killed(tx.submit, tmp_path, at, point)
    execute("default", EXPIRED)
    row = sweep_until_it_ended(tx.gid)

    if enlist is enlist_pivot:
        assert row.outcome == "committed"  # in all of them the pivot has acted
    assert_all_or_nothing(row)


@pytest.mark.parametrize("at", ["1.action", "2.action", "3.action"])
@pytest.mark.parametrize("enlist", [enlist_three, enlist_pivot], ids=case)
def test_whoever_is_killed_in_the_middle_of_a_step_has_not_done_it(
    enlist: Enlist, at: str, tmp_path: Path
) -> None:
    tx = saga(enlist)

    killed(tx.submit, tmp_path, at, "at once")
    assert f"action {at[0]}" not in journal()
    row = sweep_until_it_ended(tx.gid)

    assert row.outcome == "committed"
    assert_all_or_nothing(row)


@pytest.mark.parametrize("at", ["2.compensate", "1.compensate"])
def test_whoever_is_killed_in_the_middle_of_a_compensation_has_not_done_it(
    at: str, tmp_path: Path
) -> None:
    tx = saga(refused)

    killed(tx.submit, tmp_path, at, "at once")
    assert f"compensate {at[0]}" not in journal()
    row = sweep_until_it_ended(tx.gid)

    assert row.outcome == "aborted"
    assert_all_or_nothing(row)


PUBLISH = ("tx.publish.before", "tx.publish.after")


@pytest.mark.parametrize(
    ("enlist", "at", "point"),
    [
        *((enlist_three, "2.action", point) for point in ACT),
        *((enlist_pivot, "2.action", point) for point in (*ACT, "branch.finish.before")),
        *((refused, "3.action", point) for point in (*ACT[1:], "branch.finish.before")),
        *((refused, "2.compensate", point) for point in END),
    ],
    ids=case,
)
def test_a_worker_killed_at_any_step_is_made_good_by_the_message_that_comes_again(
    enlist: Enlist, at: str, point: str, tmp_path: Path
) -> None:
    with by_workers():
        tx = saga(enlist)
        tx.submit()
        (message,) = taken()

        killed(partial(deliver, [message]), tmp_path, at, point)
        deliver([message])
        row = sweep_until_it_ended(tx.gid)

    assert_all_or_nothing(row)


@pytest.mark.parametrize("point", PUBLISH)
def test_a_worker_killed_while_it_asks_another_loses_nothing(point: str, tmp_path: Path) -> None:
    with by_workers(branches_per_message=1):
        tx = distributed_transaction("wide", protocol="saga", deadline=60)
        first = tx.enlist("test.saga.a", step="1", cents=-10)
        tx.enlist("test.saga.b", step="2", cents=4)
        tx.enlist("test.saga.home", after=[first], step="2", cents=6)
        tx.submit()
        (message,) = taken()
        killed(partial(deliver, [message]), tmp_path, "1.action", point)
        row = sweep_until_it_ended(tx.gid)

    assert row.outcome == "committed"
    assert journal() == ["action 1", "action 2", "action 2"]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("enlist", [enlist_three, enlist_pivot, refused], ids=case)
def test_messages_that_are_lost_late_and_repeated_in_any_order_change_nothing(
    enlist: Enlist, seed: int
) -> None:
    chance = random.Random(seed)
    bag: list[tuple[str, dict[str, object]]] = []
    with by_workers():
        tx = saga(enlist)
        tx.submit()
        for _ in range(30):
            bag += taken()
            if chance.random() < 0.02:
                execute("default", EXPIRED)
            if chance.random() < 0.4 or not bag:
                execute("default", DUE)
                sweeper.sweep_once()
            if bag and chance.random() < 0.8:
                deliver([chance.choice(bag)])  # it stays in the bag: it may come again, or late
        row = sweep_until_it_ended(tx.gid)
        deliver([message for message in bag if message[0] in TASKS])
        work_off()

    assert_all_or_nothing(row)


class Restart:
    """Restarts PostgreSQL once, in the middle of a step, which takes any error for its own."""

    def __init__(self, servers: Servers, at: str) -> None:
        self._servers, self._at = servers, at
        self.error: ServerError | None = None

    def __call__(self) -> None:
        del hooks[self._at]
        try:
            self._servers.restart("postgresql")
        except ServerError as error:
            self.error = error
            raise


@pytest.mark.parametrize("at", ["1.action", "2.action", "3.action"])
@pytest.mark.parametrize("enlist", [enlist_three, enlist_pivot], ids=case)
def test_a_restart_of_postgresql_in_the_middle_of_a_step_delays_it_and_nothing_else(
    servers: Servers, enlist: Enlist, at: str
) -> None:
    tx = saga(enlist)
    restart = hooks[at] = Restart(servers, at)

    tx.submit()
    assert restart.error is None
    row = sweep_until_it_ended(tx.gid)
    connections.close_all()  # some of this process's died with the server

    assert row.outcome == "committed", row.reason
    assert_all_or_nothing(row)


@pytest.mark.parametrize("at", ["2.compensate", "1.compensate"])
def test_a_restart_of_postgresql_in_the_middle_of_a_compensation_delays_it(
    servers: Servers, at: str
) -> None:
    tx = saga(refused)
    restart = hooks[at] = Restart(servers, at)

    tx.submit()
    assert restart.error is None
    row = sweep_until_it_ended(tx.gid)
    connections.close_all()  # some of this process's died with the server

    assert row.outcome == "aborted"
    assert_all_or_nothing(row)


@contextmanager
def behind_a_proxy(using: str) -> Iterator[PostgresProxy]:
    """Let this thread reach a database through a proxy that may lose a reply."""
    connection = connections[using]
    with PostgresProxy(int(connection.settings_dict["PORT"])) as proxy:
        connection.close()
        was = dict(connection.settings_dict)
        connection.settings_dict |= {"HOST": "127.0.0.1", "PORT": proxy.port}
        try:
            yield proxy
        finally:
            connection.close()
            connection.settings_dict |= {"HOST": was["HOST"], "PORT": was["PORT"]}


@pytest.mark.parametrize("at", ["1.action", "1.compensate"])
def test_a_commit_whose_reply_is_lost_is_found_and_not_made_again(
    at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with behind_a_proxy("bank_a") as proxy:
        kept = barrier.require_kept

        def lose_what_follows(using: str, gid: str, op: str) -> None:
            kept(using, gid, op)
            if at in hooks:
                del hooks[at]
                proxy.lose_the_next_reply()

        hooks[at] = lambda: monkeypatch.setattr(barrier, "require_kept", lose_what_follows)
        tx = saga(refused)
        tx.submit()
        assert proxy.lost.is_set()
        row = sweep_until_it_ended(tx.gid)

    assert_all_or_nothing(row)
    assert journal().count("action 1") == 1


@pytest.mark.parametrize(
    ("enlist", "at"),
    [
        (enlist_three, "1.action"),
        (enlist_three, "3.action"),
        *((refused, at) for at in ("1.action", "3.action", "2.compensate", "1.compensate")),
    ],
    ids=case,
)
def test_a_record_whose_reply_is_lost_is_found_and_not_made_again(enlist: Enlist, at: str) -> None:
    """Votes and ends go to the coordinator, whose next reply after the step is lost."""
    with behind_a_proxy("default") as proxy:
        hooks[at] = lambda: hooks.pop(at) and proxy.lose_the_next_reply()
        tx = saga(enlist)
        tx.submit()
        assert proxy.lost.is_set()
        row = sweep_until_it_ended(tx.gid)

    assert row.outcome == ("committed" if enlist is enlist_three else "aborted")
    assert_all_or_nothing(row)
