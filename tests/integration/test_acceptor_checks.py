"""Checks and the doctor tell of acceptors that cannot be such, or do not count."""

import json
from collections.abc import Callable

import pytest
from django.conf import settings as django_settings
from django.core.management.base import CommandError
from pytest_django import Settings

from coordination import checks
from coordination.consensus.stores.paxos import PaxosRegisters
from coordination.management.subcommands import acceptors
from coordination.probes.acceptors import probe
from tests.consensus_stores import NUMBERS, Quorum, _quorum_servers, elect, servers_of_quorum

__all__ = ["_quorum_servers", "elect", "servers_of_quorum"]

Elect = Callable[..., PaxosRegisters]


def name_acceptors(settings: Settings, stores: dict[str, dict[str, object]]) -> None:
    known = django_settings.COORDINATION
    settings.COORDINATION = known | {
        "STORES": known["STORES"] | stores,
        "CONSENSUS": {"ACCEPTORS": list(stores)},
    }


def test_two_databases_of_one_server_are_warned_of(settings: Settings) -> None:
    stores: dict[str, dict[str, object]] = {
        "one": {"BACKEND": "redis", "LOCATION": "redis://127.0.0.1:1/0"},
        "two": {"BACKEND": "database", "USING": "bank_a"},
        "three": {"BACKEND": "database", "USING": "bank_b"},
    }
    name_acceptors(settings, stores)

    (message,) = checks.check_acceptors(app_configs=None)

    assert message.id == "concord.W041"
    assert "same PostgreSQL server" in message.msg


@pytest.mark.parametrize(
    "named",
    [["one", "two"], ["one", "two", "three", "four"], ["one", "two", "same"], ["one", "two", "x"]],
    ids=["too few", "even", "one server twice", "unknown"],
)
def test_acceptors_that_cannot_be_a_quorum_are_refused_by_name(
    settings: Settings, named: list[str]
) -> None:
    stores = {
        alias: {"BACKEND": "redis", "LOCATION": f"redis://127.0.0.1:{number}/0"}
        for number, alias in enumerate(["one", "two", "three", "four"], 1)
    }
    stores["same"] = {"BACKEND": "redis", "LOCATION": "redis://127.0.0.1:1/5"}
    known = django_settings.COORDINATION
    settings.COORDINATION = known | {
        "STORES": known["STORES"] | stores,
        "CONSENSUS": {"ACCEPTORS": named},
    }

    (message,) = checks.check_settings(app_configs=None)

    assert message.id == "concord.E001"
    assert "['CONSENSUS']['ACCEPTORS']" in message.msg


def test_the_doctor_tells_which_acceptors_count(servers_of_quorum: Quorum, elect: Elect) -> None:
    elect(servers_of_quorum.stores(), founded=False)
    assert [message.id for message in probe().messages] == ["concord.E140"] + ["concord.W141"] * 3

    elect(servers_of_quorum.stores())
    assert probe().messages == ()
    with servers_of_quorum.servers["two"].client() as client:
        client.config_set("appendfsync", "everysec")
    (message,) = probe().messages
    assert message.id == "concord.W141"
    assert "appendfsync is everysec" in message.msg
    servers_of_quorum.servers["one"].kill()
    assert probe().messages[0].id == "concord.E140"
    assert probe().detail.startswith("1 of 3 count")


def command(**options: object) -> int:
    given = {"found": False, "retire": None, "admit": None, "forget_before": None, "json": False}
    return acceptors.handle(given | options)


def test_the_command_founds_shows_and_admits(
    servers_of_quorum: Quorum, elect: Elect, capsys: pytest.CaptureFixture[str]
) -> None:
    elect(servers_of_quorum.stores(), founded=False)
    assert command() == 1
    capsys.readouterr()
    assert command(found=True, json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["counting"] == 3
    assert [each["alias"] for each in told["acceptors"]] == list(NUMBERS)

    with servers_of_quorum.servers["two"].client() as client:
        client.flushall()
    assert command() == 0
    assert "BAD   two" in capsys.readouterr().out
    assert command(admit="two") == 0
    assert capsys.readouterr().out.count("good") == 3
    with pytest.raises(CommandError, match="counts"):
        command(admit="two")
