"""What the servers are asked, and what the doctor makes of the answers."""

import json
import re
import threading
from dataclasses import replace

import pytest
from django.db import connections
from pytest_django import Settings

from coordination import checks
from coordination.probes import Probe
from coordination.probes import database as database_probe
from coordination.probes import redis as redis_probe
from coordination.probes.all_servers import ask, ask_all
from coordination.probes.database import Facts, judge
from tests.integration.concord_command import manage
from tests.integration.own_redis import OwnRedis, own_redis

__all__ = ["own_redis"]


def _store_at(location: str) -> dict[str, object]:
    return {"NODE": "bank", "STORES": {"redis": {"BACKEND": "redis", "LOCATION": location}}}


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_the_tests_own_servers_are_fit() -> None:
    aliases = ["default", "bank_a", "bank_b"]

    assert checks.check_servers(app_configs=None, databases=aliases) == []


HEALTHY = Facts(150_018, "15.18", 64, 0, "on", "on", 197, 20)


@pytest.mark.parametrize(
    ("facts", "ids"),
    [
        (HEALTHY, []),
        (replace(HEALTHY, number=140_011, version="14.11"), ["E121"]),
        (replace(HEALTHY, prepared_max=0), ["E122"]),
        (replace(HEALTHY, prepared_max=63), ["W122"]),
        (replace(HEALTHY, fsync="off"), ["W128"]),
        (replace(HEALTHY, synchronous_commit="off"), ["W128"]),
        (replace(HEALTHY, synchronous_commit="local"), []),
        (replace(HEALTHY, connections=157), []),
        (replace(HEALTHY, connections=158), ["W130"]),
    ],
)
def test_an_unfit_postgresql_is_told_by_its_settings(facts: Facts, ids: list[str]) -> None:
    found = judge("bank_a", frozenset({"xa"}), facts)

    assert [str(message.id) for message in found] == [f"concord.{name}" for name in ids]


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_the_doctor_counts_the_connections_in_use() -> None:
    detail = database_probe.probe("bank_a", frozenset()).detail

    taken, places = re.search(r"(\d+) of (\d+) connections in use", detail).groups()
    assert 0 < int(taken) < int(places)


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_w123_tables_are_missing_and_the_remedy_is_named() -> None:
    with connections["bank_a"].cursor() as cursor:
        cursor.execute("ALTER TABLE concord_witness RENAME TO elsewhere")
    try:
        messages = database_probe.probe("bank_a", frozenset({"xa"})).messages
    finally:
        with connections["bank_a"].cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO concord_witness")

    assert [message.id for message in messages] == ["concord.W123"]
    assert "concord_witness" in messages[0].msg
    assert messages[0].hint == "Run manage.py migrate --database=bank_a."


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_w120_a_database_that_is_down_is_a_finding_not_a_crash() -> None:
    before, broken = connections["bank_a"], connections.create_connection("bank_a")
    broken.settings_dict = broken.settings_dict | {"HOST": "127.0.0.1", "PORT": "1"}
    connections["bank_a"] = broken
    try:
        probe = database_probe.probe("bank_a", frozenset())
    finally:
        # The same object: the run's end closes this one before it drops the database.
        connections["bank_a"] = before

    assert not probe.answered
    assert [message.id for message in probe.messages] == ["concord.W120"]


def test_w124_a_redis_that_is_down_is_a_finding_not_a_crash(settings: Settings) -> None:
    settings.COORDINATION = _store_at("redis://:secret@127.0.0.1:1/1")

    probe = redis_probe.probe("redis")

    assert [message.id for message in probe.messages] == ["concord.W124"]
    assert "secret" not in str(probe)


def test_w125_and_w126_a_redis_that_evicts_and_forgets(
    settings: Settings, own_redis: OwnRedis
) -> None:
    settings.COORDINATION = _store_at(own_redis.url)
    with own_redis.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")

    probe = redis_probe.probe("redis")

    assert [message.id for message in probe.messages] == ["concord.W125", "concord.W126"]
    assert "allkeys-lru" in probe.detail


def test_e127_an_old_redis() -> None:
    found = redis_probe._judge("redis", {"redis_version": "6.0.16"})

    assert [message.id for message in found] == ["concord.E127"]


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_a_frozen_server_is_reported_and_not_waited_for(
    settings: Settings, own_redis: OwnRedis
) -> None:
    settings.COORDINATION = _store_at(own_redis.url)
    own_redis.freeze()

    probes = ask_all(deadline_ms=4_000)

    answered = {probe.name: probe.answered for probe in probes}
    assert answered.pop("redis redis") is False
    others = {"database default", "database bank_a", "database bank_b", "transactions", "broker"}
    assert set(answered) == others
    assert all(answered.values())


def test_a_question_without_an_answer_does_not_hold_up_the_others() -> None:
    never = threading.Event()
    quick = Probe(name="quick", answered=True, detail="")

    def hangs() -> Probe:
        never.wait(30)
        return quick

    def breaks() -> Probe:
        raise RuntimeError("broken")

    probes = ask({"slow": hangs, "quick": lambda: quick, "bad": breaks}, deadline_ms=200)
    never.set()

    assert [(probe.name, probe.answered) for probe in probes] == [
        ("slow", False),
        ("quick", True),
        ("bad", False),
    ]
    assert probes[0].detail == "no answer within 0.2 s"
    assert probes[2].detail == "RuntimeError: broken"


def test_the_doctor_says_that_all_is_good() -> None:
    done = manage("concord", "doctor")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "good  database default  PostgreSQL 15" in done.stdout
    assert done.stdout.endswith("All good.\n")


def test_the_doctor_names_the_server_that_is_down_and_exits_1() -> None:
    done = manage("concord", "doctor", "--json", REDIS_URL="redis://127.0.0.1:1/0")

    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["good"] is False
    down = {server["name"] for server in report["servers"] if not server["answered"]}
    assert down == {"redis redis", "broker"}


def test_the_doctor_reports_settings_it_cannot_read() -> None:
    done = manage("concord", "doctor", code="COORDINATION={'NOD': 'x'}")

    assert done.returncode == 1
    assert "Did you mean 'NODE'?" in done.stdout + done.stderr
