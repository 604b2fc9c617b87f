"""The verdict of mutual exclusion: green on evidence alone, red on any planted mistake."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connections

from coordination import lock, semaphore
from coordination.locks.judging import ViolationKind
from coordination.locks.recording import LockProjection
from coordination.locks.records import LockRecord, LockWatch
from coordination.locks.stores import lock_store
from coordination.observing.fences import Fenced
from coordination.observing.journal import Journal
from coordination.observing.rebuild import rebuild
from coordination.observing.records import Verdict, Violation
from coordination.observing.tables import Cursor, Event
from coordination.observing.verdicts import acknowledge
from tests.contract.locks.asking import held
from tests.integration.lock_observing import (
    an_auditor,
    an_importer,
    audit,
    drain,
    observe,
    own,
    record,
    run_sql,
    use,
)
from tests.integration.own_redis import OwnRedis, own_redis

__all__ = ["own", "own_redis"]

pytestmark = pytest.mark.django_db(transaction=True)


def judged() -> Verdict:
    observe()
    return audit()


def age(what: str, by: str) -> None:
    """Let what the verdict says of a time be of a time before."""
    run_sql(
        "UPDATE concord_verdict SET evidence = evidence || jsonb_build_object("
        "%s::text, to_jsonb(clock_timestamp() - %s::interval))",
        what,
        by,
    )


def test_it_holds_on_evidence(own: OwnRedis) -> None:
    use("a", 3)
    late = held(lock("b", renew=False).acquire())
    lock.force_release("b", actor="me", reason="stuck")
    lock_store("redis").release(late.request)
    held(semaphore("s", permits=2).acquire()).release()
    first, second = judged(), audit()

    assert (first.state, first.reason, first.checked) == ("HOLDS", "", 5)
    assert (first.evidence["released"], first.evidence["forced"]) == (4, 1)
    assert (first.evidence["releases_refused"], first.evidence["stale_writes_refused"]) == (1, 0)
    assert second.checked == 5
    assert second.checked_at > first.checked_at
    assert first.window_start is not None


def test_without_a_grant_nothing_is_proven(own: OwnRedis) -> None:
    verdict = judged()
    assert (verdict.state, verdict.reason) == ("UNPROVEN", "nothing has been granted yet")


def test_what_was_granted_long_ago_proves_nothing(own: OwnRedis) -> None:
    use("a")
    judged()
    age("last_grant_at", "2 hours")
    verdict = audit()

    assert verdict.state == "UNPROVEN"
    assert verdict.reason.startswith("nothing was granted since")


def test_a_store_that_is_not_read_leaves_it_unproven(own: OwnRedis) -> None:
    use("a")
    judged()
    seen = "UPDATE concord_cursor SET updated_at = updated_at - interval '9 s' WHERE name = %s"
    run_sql(seen, "lock:redis")
    verdict = audit()

    assert verdict.state == "UNPROVEN"
    assert verdict.reason.startswith("redis was last read ")
    assert judged().state == "HOLDS"


def test_it_is_checking_while_events_wait(own: OwnRedis) -> None:
    use("a")
    judged()
    use("a")
    drain(an_importer().step)
    run_sql("UPDATE concord_event SET at = at - interval '6 s' WHERE seq IS NULL")

    assert audit().state == "CHECKING"
    assert judged().state == "HOLDS"


def test_lost_events_leave_it_unproven_for_a_while(own: OwnRedis) -> None:
    use("a")
    judged()
    own.client().flushall()
    importer = an_importer()
    importer.step()
    during = audit()
    use("a")
    drain(importer.step)
    after = judged()
    age("last_gap_at", "2 min")

    assert (during.state, during.reason) == (
        "UNPROVEN",
        "redis lost events, and is being told anew",
    )
    assert after.state == "UNPROVEN"
    assert after.reason.startswith("events were lost until")
    assert audit().state == "HOLDS"


def _forget_the_holder(own: OwnRedis) -> None:
    """As a store that does not keep its word: it gives away what somebody holds."""
    held(lock("a", owner="first", renew=False).acquire())
    (key,) = own.client().keys("*:held:lock:a")
    own.client().delete(key)
    held(lock("a", owner="second", renew=False).acquire())


def _set_tokens_back(*, by: int) -> None:
    use("a", 2)
    drain(an_importer().step)
    first = Event.objects.get(name="redis lock a", version=1)
    run_sql(
        "UPDATE concord_event SET data = jsonb_set(data, '{token}', to_jsonb(%s::bigint))"
        " WHERE name = %s AND version = 3",
        first.data["token"] - by,
        first.name,
    )


def _token_again(_own: OwnRedis) -> None:
    _set_tokens_back(by=0)


def _token_falls(_own: OwnRedis) -> None:
    _set_tokens_back(by=1)


def _renewed_after_loss(_own: OwnRedis) -> None:
    held(lock("a", renew=False).acquire()).renew()
    drain(an_importer().step)
    first, second = Event.objects.filter(name="redis lock a").order_by("version")
    Event.objects.filter(id=second.id).update(version=3)
    said = {"id": first.data["id"], "token": first.data["token"]}
    Event.objects.create(
        kind="lock.forced", object="lock", name=first.name, version=2, at=first.at, data=said
    )


PLANTED: dict[ViolationKind, Callable[[OwnRedis], None]] = {
    ViolationKind.OVERLAP: _forget_the_holder,
    ViolationKind.TOKEN_REPEATED: _token_again,
    ViolationKind.TOKEN_FELL: _token_falls,
    ViolationKind.AFTER_LOSS: _renewed_after_loss,
}


@pytest.mark.parametrize("kind", ViolationKind)
def test_each_planted_violation_turns_the_verdict_red(own: OwnRedis, kind: ViolationKind) -> None:
    use("good")
    PLANTED[kind](own)
    verdict = judged()
    (violation,) = Violation.objects.filter(verdict="mutual_exclusion")

    assert (verdict.state, verdict.violations) == ("VIOLATED", 1)
    assert (violation.gid, violation.kind) == ("redis lock a", kind)
    assert violation.evidence["at"]
    assert (record("a").disputed, record("good").disputed) == (violation.sentence, "")


def test_an_acknowledged_violation_is_no_longer_red_and_the_next_one_is(own: OwnRedis) -> None:
    _forget_the_holder(own)
    judged()
    first = Violation.objects.get()
    assert [each["owner"] for each in first.evidence["holds"]] == ["first", "second"]
    acknowledge([first.id], actor="m.keller", reason="the key was deleted by hand")
    verdict = judged()
    assert (verdict.state, verdict.acknowledged) == ("HOLDS", 1)
    assert record("a").disputed == ""

    (key,) = own.client().keys("*:held:lock:a")
    own.client().delete(key)
    held(lock("a", owner="third", renew=False).acquire())
    assert (judged().state, Violation.objects.count()) == ("VIOLATED", 2)


def test_a_rebuild_of_records_judges_nothing_twice(own: OwnRedis) -> None:
    _forget_the_holder(own)
    before = judged()
    rebuild(Journal("default"), [LockProjection()])
    after = judged()

    assert (before.checked, before.violations) == (after.checked, after.violations)
    assert record("a").disputed == Violation.objects.get().sentence


def test_auditors_at_once_count_each_grant_once(own: OwnRedis) -> None:
    done, failures = threading.Event(), list[BaseException]()

    def work() -> None:
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

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        use("a", 5)
        observe()
    verdict = audit()
    done.set()
    for thread in threads:
        thread.join()

    assert not failures
    assert (verdict.checked, Violation.objects.count()) == (50, 0)
    assert LockWatch.objects.get().version == 100


def test_an_auditor_that_was_killed_judges_again(
    own: OwnRedis, process_environment: dict[str, str], tmp_path: Path
) -> None:
    _forget_the_holder(own)
    observe()
    (tmp_path / "lock-audit.commit.before.arm").write_text(json.dumps({"action": "kill"}))
    environment = {
        "CONCORD_FAILPOINTS_DIR": str(tmp_path),
        "FAILPOINTS": "1",
        "REDIS_URL": own.url.removesuffix("/1") + "/0",
    }
    killed = subprocess.run(
        [sys.executable, "manage.py", "concord", "observe", "--once"],
        env=process_environment | environment,
        cwd=Path(__file__).parents[2],
        check=False,
        timeout=60,
    )
    verdict = judged()

    assert killed.returncode == -9
    assert (verdict.checked, verdict.violations) == (2, 1)


def test_verify_judges_the_kept_history_again(own: OwnRedis) -> None:
    use("good", 2)
    observe()
    assert verify() == (0, [])
    _forget_the_holder(own)
    observe()

    assert verify() == (1, [("redis lock a", "overlap")])
    assert not LockRecord.objects.exclude(disputed="").exists()
    assert Cursor.objects.filter(name="lock-audit").count() == 0


def verify() -> tuple[int, list[tuple[str, str]]]:
    out, status = StringIO(), 0
    with redirect_stdout(out):
        try:
            call_command("concord", "verify", "--json")
        except SystemExit as exit_:
            status = int(exit_.code or 0)
    findings = json.loads(out.getvalue())["locks"]["findings"]
    return status, [(each["key"], each["kind"]) for each in findings]
