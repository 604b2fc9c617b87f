"""The verdict of the queue balance: green on evidence alone."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from pytest_django import Settings

from coordination import queue
from coordination.exceptions import StaleReceipt
from coordination.observing.fences import Fenced
from coordination.observing.records import Verdict, Violation
from coordination.queues.records import MessageRecord, QueueRecord, WatchedMessage
from coordination.queues.stores.redis_keys import events_key, shard_of
from tests.contract.locks.asking import until
from tests.contract.queues.taking import drained, one
from tests.databases import ALIASES
from tests.integration.own_redis import OwnRedis, own_redis
from tests.integration.queue_observing import (
    _django_db_helper,
    an_auditor,
    an_importer,
    any_store,
    audit,
    database_only,
    delete_row,
    drain,
    judged,
    observe,
    only,
    own,
    record,
    redis_only,
    run_sql,
    sqlite_only,
    work,
)
from tests.queue_stores import sqlite_queues

__all__ = [
    "_django_db_helper",
    "any_store",
    "database_only",
    "own",
    "own_redis",
    "redis_only",
    "sqlite_only",
    "sqlite_queues",
]

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)


def age(what: str, by: str) -> None:
    """Let what the verdict says of a time be of a time before."""
    run_sql(
        "UPDATE concord_verdict SET evidence = evidence || jsonb_build_object("
        "%s::text, to_jsonb(clock_timestamp() - %s::interval))",
        what,
        by,
    )


def test_it_holds_on_evidence(any_store: str) -> None:
    work()
    q = queue("b", visibility=0.05)
    q.publish("x")
    late = one(q)
    again = one(q)
    again.extend(60)
    with pytest.raises(StaleReceipt):
        late.ack()
    again.ack()
    first, second = judged(), audit()

    assert (first.state, first.reason) == ("HOLDS", "")
    # Of the two queues, and of their dead letters, which nobody published there.
    assert (first.checked, first.evidence["queues"]) == (10, 4)
    assert (first.evidence["acked"], first.evidence["refused"]) == (4, 1)
    assert (second.state, second.evidence["acked"]) == ("HOLDS", 4)
    assert second.checked_at > first.checked_at
    assert first.window_start is not None


def test_without_a_message_nothing_is_proven(any_store: str) -> None:
    verdict = judged()
    assert (verdict.state, verdict.reason) == ("UNPROVEN", "no message has been published yet")


def test_a_store_whose_events_are_not_read_leaves_it_unproven(own: OwnRedis) -> None:
    work()
    judged()
    seen = "UPDATE concord_cursor SET updated_at = updated_at - interval '9 s' WHERE name = %s"
    run_sql(seen, "queue:redis")
    verdict = audit()

    assert verdict.state == "UNPROVEN"
    assert verdict.reason.startswith("events of redis were last read ")
    assert judged().state == "HOLDS"


def test_a_store_that_cannot_be_counted_leaves_it_unproven(own: OwnRedis) -> None:
    work()
    auditor = an_auditor()
    judged()
    assert audit(auditor).state == "HOLDS"
    own.freeze()
    verdict = audit(auditor)
    own.thaw()

    assert verdict.state == "UNPROVEN"
    assert "queues of redis cannot be counted" in verdict.reason
    assert audit(auditor).state == "HOLDS"


def test_it_is_checking_while_events_wait(own: OwnRedis) -> None:
    work()
    judged()
    work("b")
    drain(an_importer().step)
    run_sql("UPDATE concord_event SET at = at - interval '6 s' WHERE seq IS NULL")

    assert audit().state == "CHECKING"
    assert judged().state == "HOLDS"


def test_it_is_checking_until_every_queue_was_counted(
    any_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordination.queues.auditor.QUEUES_MAX", 1)
    work()
    observe()
    auditor = an_auditor()

    assert audit(auditor).state == "CHECKING"
    assert audit(auditor).state == "HOLDS"


def test_lost_events_leave_it_unproven_for_a_while_and_the_balance_is_exact(own: OwnRedis) -> None:
    work()
    judged()
    for _ in range(3):
        work()
    own.client().xtrim(events_key(shard_of("a")), maxlen=2, approximate=False)
    during = judged()
    age("last_gap_at", "2 min")

    assert during.state == "UNPROVEN"
    assert during.reason.startswith("events of queues were lost until")
    assert (during.checked, during.evidence["gaps"] > 0) == (36, True)
    assert record("a").gap_at is not None
    assert audit().state == "HOLDS"


def test_events_that_were_lost_and_followed_by_none_are_missed(
    own: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordination.queues.auditor.UNSEEN_S", 0.0)
    work()
    auditor = an_auditor()
    observe()
    assert audit(auditor).state == "HOLDS"
    queue("a").publish("x")
    key = events_key(shard_of("a"))
    (newest, _), *_ = own.client().xrevrange(key, count=1)
    own.client().xdel(key, newest)
    observe()
    first, verdict = [audit(an_unhurried(auditor)) for _ in range(2)]
    assert first.state == "HOLDS"  # It may be on its way.

    assert verdict.state == "UNPROVEN"
    assert record("a").gap_at is not None


def an_unhurried(auditor: Any) -> Any:
    """The same auditor, for which it is every queue's turn."""
    for each in auditor._rounds:
        each.rounds._turns.clear()
    return auditor


def test_a_store_that_forgot_everything_is_a_gap_and_no_violation(own: OwnRedis) -> None:
    work()
    judged()
    own.client().flushall()
    work()
    verdict = judged()

    assert verdict.state == "UNPROVEN"
    assert not Violation.objects.exists()
    age("last_gap_at", "2 min")
    assert audit().state == "HOLDS"


def test_a_store_restarted_without_its_last_changes_is_a_gap_and_no_violation(
    own: OwnRedis,
) -> None:
    """Acks that it forgot are made again, rightly."""
    q = queue("a")
    q.publish_many(range(3))
    client = own.client()
    before = {key: client.dump(key) for key in client.keys("*")}
    drained(q)
    judged()
    client.flushall()
    for key, dumped in before.items():
        client.restore(key, 0, dumped)
    drained(q)
    verdict = judged()

    assert verdict.state == "UNPROVEN"
    assert not Violation.objects.exists()


def test_auditors_at_once_judge_each_event_once(any_store: str) -> None:
    done = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        auditor = an_auditor()
        try:
            while not done.is_set():
                try:
                    auditor.step()
                except Fenced:
                    continue
        except BaseException as error:  # noqa: BLE001
            failures.append(error)
        connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        work()
        observe()
    done.set()
    for thread in threads:
        thread.join()
    verdict = judged()

    assert not failures
    assert (verdict.state, verdict.evidence["acked"], verdict.evidence["gaps"]) == ("HOLDS", 15, 0)


@pytest.mark.parametrize(
    "point",
    ["queue-import.commit.before", "queue-import.commit.after", "queue-audit.commit.before"],
)
def test_an_observer_that_was_killed_misses_nothing_and_judges_nothing_twice(
    own: OwnRedis, process_environment: dict[str, str], tmp_path: Path, point: str
) -> None:
    work()
    folder = tmp_path / "failpoints"
    folder.mkdir()
    (folder / f"{point}.arm").write_text(json.dumps({"action": "kill"}))
    killed = subprocess.run(
        [sys.executable, "manage.py", "concord", "observe", "--once"],
        env=process_environment
        | {
            "CONCORD_FAILPOINTS_DIR": str(folder),
            "FAILPOINTS": "1",
            "REDIS_URL": own.url.removesuffix("/1") + "/0",
        },
        cwd=Path(__file__).parents[2],
        check=False,
        timeout=60,
    )
    verdict = judged()

    assert killed.returncode == -9
    assert (verdict.state, verdict.evidence["acked"]) == ("HOLDS", 3)
    assert not Violation.objects.exists()


def test_a_running_observer_samples_folds_and_judges_and_ends_when_told(
    own: OwnRedis, process_environment: dict[str, str]
) -> None:
    observer = subprocess.Popen(
        [sys.executable, "manage.py", "concord", "observe"],
        env=process_environment | {"REDIS_URL": own.url.removesuffix("/1") + "/0"},
        cwd=Path(__file__).parents[2],
    )
    try:
        work()
        # It has to start first.
        until(lambda: Verdict.objects.filter(name="queue_balance").exists(), within_s=60)
        until(lambda: audited() == ("HOLDS", ""), within_s=30)
        until(lambda: MessageRecord.objects.filter(state="acked").count() == 3, within_s=30)
        until(lambda: QueueRecord.objects.filter(name="a", acked=3, events__gt=5).exists())
        queue("a").publish("more")
        until(lambda: QueueRecord.objects.filter(name="a", published=10).exists(), within_s=30)
    finally:
        observer.terminate()
        status = observer.wait(timeout=60)
    assert status == 0


def audited() -> tuple[str, str]:
    found = Verdict.objects.get(name="queue_balance")
    return found.state, found.reason


def test_a_store_whose_events_nobody_reads_is_named(database_only: str, settings: Settings) -> None:
    elsewhere = {"BACKEND": "database", "USING": "bank_a"}
    only(settings, {**settings.COORDINATION["STORES"], "elsewhere": elsewhere})
    verdict = judged()

    assert verdict.evidence["unseen"] == ["elsewhere"]
    assert verdict.state == "UNPROVEN"  # Its queues cannot be counted: there are no tables.


def test_history_and_balance_are_judged_again_by_command(database_only: str) -> None:
    work()
    gone = queue("a").publish("gone")
    observe()
    assert verified() == (0, [])
    delete_row("database", gone)
    status, kinds = verified()

    assert (status, kinds) == (1, ["unbalanced"])


def verified() -> tuple[int, list[str]]:
    """Exit status of `concord verify`, and what it found of queues."""
    out, status = StringIO(), 0
    with redirect_stdout(out):
        try:
            call_command("concord", "verify", "--json")
        except SystemExit as ended:
            status = int(ended.code or 0)
    return status, [each["kind"] for each in json.loads(out.getvalue())["queues"]["findings"]]


def test_what_is_known_of_a_message_goes_with_it_but_for_its_ack(any_store: str) -> None:
    q = queue("a", max_attempts=1)
    q.publish_many(range(4))
    one(q).ack()
    one(q).nack(error="boom")
    one(q)
    judged()

    marks = WatchedMessage.objects.order_by("acked").values_list("acked", flat=True)
    assert list(marks) == [False, True]
