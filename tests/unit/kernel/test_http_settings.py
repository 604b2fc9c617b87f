"""HTTP_PARTICIPANTS and HTTP_CALLERS: what is valid, and every fault with its path."""

from typing import Any

import pytest

from coordination.kernel.settings_parser import SettingsFault, parse_settings

KEYS = {"2026": "s" * 32}
SERVICE: dict[str, Any] = {"URL": "https://pay.example:8443/branches?v=1", "KEYS": KEYS}
CALLER: dict[str, Any] = {"KEYS": KEYS, "PARTICIPANTS": ["stock.*"]}


def test_the_first_pattern_that_matches_counts() -> None:
    first, second = SERVICE | {"TIMEOUT": 1}, SERVICE | {"CA": "/etc/ca.pem"}
    settings = parse_settings({"HTTP_PARTICIPANTS": {"pay.card.*": first, "pay.*": second}})

    card, other = settings.http_service("pay.card.take"), settings.http_service("pay.take")
    assert card is not None
    assert other is not None
    assert (card.timeout_ms, card.ca) == (1_000, None)
    assert (other.timeout_ms, other.ca) == (5_000, "/etc/ca.pem")
    assert settings.http_service("stock.reserve") is None


def test_a_caller_may_call_what_its_patterns_match() -> None:
    settings = parse_settings({"NODE": "shop", "HTTP_CALLERS": {"orders": CALLER}})

    assert settings.http_callers["orders"].may_call("stock.reserve")
    assert not settings.http_callers["orders"].may_call("pay.take")


def test_plain_http_has_to_be_asked_for() -> None:
    plain = SERVICE | {"URL": "http://10.0.0.7/"}
    with pytest.raises(SettingsFault, match="PLAIN_HTTP"):
        parse_settings({"HTTP_PARTICIPANTS": {"pay.*": plain}})

    parse_settings({"HTTP_PARTICIPANTS": {"pay.*": plain | {"PLAIN_HTTP": True}}})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"TIMOUT": 1}, "TIMEOUT"),
        ({"URL": None}, r"\['URL'\] must be a str"),
        ({"URL": "ftp://host/"}, "https://"),
        ({"URL": "https:///path"}, "https://"),
        ({"URL": "https://host/a b"}, "ASCII"),
        ({"URL": "https://host/ü"}, "ASCII"),
        ({"URL": "https://host:99999/"}, "no URL"),
        ({"URL": "https://[::1/"}, "no URL"),
        ({"URL": "https://user:secret@host/"}, "no user"),
        ({"URL": "https://host/#part"}, "no fragment"),
        ({"KEYS": {}}, "at least one key"),
        ({"KEYS": {"k": "short"}}, "at least 32 characters"),
        ({"KEYS": {"with space": "s" * 32}}, "header"),
        ({"KEYS": {"schlüssel": "s" * 32}}, "header"),
        ({"TIMEOUT": 0}, "TIMEOUT"),
        ({"PLAIN_HTTP": "yes"}, "True or False"),
        ({"CA": ""}, "CA"),
    ],
    ids=str,
)
def test_a_fault_of_a_service_is_told_with_its_path(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsFault, match=told) as fault:
        parse_settings({"HTTP_PARTICIPANTS": {"pay.*": SERVICE | changes}})

    assert "COORDINATION['HTTP_PARTICIPANTS']['pay.*']" in str(fault.value)
    assert "secret" not in str(fault.value).replace("a secret of", "").replace("its secret", "")


@pytest.mark.parametrize(
    ("callers", "told"),
    [
        ([], "must be a dict"),
        ({"Orders": CALLER}, "a node is"),
        ({"shop": CALLER}, "this node itself"),
        ({"orders": {"KEYS": KEYS}}, "PARTICIPANTS"),
        ({"orders": CALLER | {"PARTICIPANT": []}}, "PARTICIPANTS"),
        ({"orders": CALLER | {"PARTICIPANTS": "stock.*"}}, "list of str"),
        ({"orders": {"PARTICIPANTS": ["*"]}}, "at least one key"),
    ],
    ids=str,
)
def test_a_fault_of_a_caller_is_told(callers: object, told: str) -> None:
    with pytest.raises(SettingsFault, match=told):
        parse_settings({"NODE": "shop", "HTTP_CALLERS": callers})


@pytest.mark.parametrize("raw", [[], {"": SERVICE}, {1: SERVICE}, {"pay.*": "https://host/"}])
def test_services_are_a_dict_of_patterns(raw: object) -> None:
    with pytest.raises(SettingsFault, match="HTTP_PARTICIPANTS"):
        parse_settings({"HTTP_PARTICIPANTS": raw})
