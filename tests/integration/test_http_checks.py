"""System checks of HTTP participants speak when they should, each with a remedy."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from coordination.http import checks
from tests.integration import ledger  # noqa: F401  registers test.*

KEYS = {"2026": "s" * 32}


@contextmanager
def changed(**changes: Any) -> Iterator[None]:
    with override_settings(COORDINATION=django_settings.COORDINATION | changes):
        yield


def found() -> list[str]:
    messages = checks.check_http(None) + checks.check_plain_http(None)
    assert all(message.hint for message in messages)
    return [str(message.id) for message in messages]


def service(**changes: Any) -> dict[str, Any]:
    return {"far.*": {"URL": "https://far.example/", "KEYS": KEYS} | changes}


def test_what_is_well_configured_gives_no_message(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("")
    callers = {"shop": {"KEYS": KEYS, "PARTICIPANTS": ["test.*"]}}
    urls = override_settings(ROOT_URLCONF="tests.integration.http_urls")
    with changed(HTTP_PARTICIPANTS=service(CA=str(ca)), HTTP_CALLERS=callers), urls:
        assert found() == []


def test_a_certificate_that_is_not_there_is_told() -> None:
    with changed(HTTP_PARTICIPANTS=service(CA="/nowhere/ca.pem")):
        assert found() == ["concord.E040"]


def test_plain_http_is_told_before_deployment() -> None:
    with changed(HTTP_PARTICIPANTS=service(URL="http://far.example/", PLAIN_HTTP=True)):
        assert found() == ["concord.W043"]


def test_callers_without_an_address_or_a_participant_are_told() -> None:
    callers = {"shop": {"KEYS": KEYS, "PARTICIPANTS": ["test.*", "tset.*"]}}
    with changed(HTTP_CALLERS=callers):
        assert found() == ["concord.W041", "concord.W042"]


@pytest.mark.parametrize("name", ["HTTP_PARTICIPANTS", "HTTP_CALLERS"])
def test_what_is_not_valid_is_told_by_the_check_of_the_settings_alone(name: str) -> None:
    with changed(**{name: "nonsense"}):
        assert found() == []
