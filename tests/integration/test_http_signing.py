"""A service takes only what is signed as it is sent, and only its answers are believed."""

import json
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from coordination.connections import http
from coordination.kernel.http_signatures import Request
from coordination.transactions.branches.answer import Later
from coordination.transactions.branches.http import prepare
from coordination.transactions.types import Form, Mode, Vote, Work
from tests.integration.http_service import (
    KEYS,
    Service,
    called,
    routed_service,
    started_service,
)

__all__ = ["routed_service", "started_service"]

GID = "bank-00000001-0000000000000001"


def work(gid: str, *, remaining_ms: int = 5_000) -> Work:
    return Work(
        gid=gid,
        seq=1,
        participant="far.add",
        using="",
        mode=Mode.HTTP,
        form=Form.PREPARE,
        args={"account": "a", "cents": -10},
        remaining_ms=remaining_ms,
    )


def request(service: Service, **changes: object) -> tuple[int, bytes]:
    """A prepare as this node signs it, with changes behind the signature's back."""
    target = urlsplit(service.url)
    body = json.dumps(
        {
            "version": 1,
            "phase": "prepare",
            "gid": GID,
            "branch": f"cc:{GID}:1",
            "participant": "far.add",
            "args": {"account": "a", "cents": -10},
            "remaining_ms": 5_000,
            "attempt": 1,
        }
    ).encode()
    signed = Request(
        method="POST",
        target=f"{target.path}?{target.query}",
        sender="bank",
        key="2026",
        nonce="n" * 24,
        issued_ms=0,
        expires_ms=2**52,
        body=body,
    )
    signed = replace(signed, **changes.pop("signed", {}))  # type: ignore[arg-type]
    secret = changes.pop("secret", KEYS["2026"])
    assert isinstance(secret, str)
    headers = signed.headers(secret) | changes.pop("headers", {})  # type: ignore[operator]
    sent = changes.pop("body", body)
    assert isinstance(sent, bytes)
    url = str(changes.pop("url", service.url))
    answer = http.post(url, sent, headers, until=time.monotonic() + 5)
    return answer.status, answer.body


def test_the_request_of_the_tests_below_is_taken_as_it_is(service: Service) -> None:
    assert request(service)[0] == 200
    assert request(service)[0] == 200, "a replay gets the same answer"
    assert service.cents() == (90, 10)


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": "x" * 32},
        {"signed": {"key": "other"}},
        {"signed": {"expires_ms": 1}},
        {"signed": {"issued_ms": 2**51}},
        {"signed": {"method": "PUT"}},
        {"signed": {"target": "/other"}},
        {"headers": {"Concord-From": "third"}},
        {"headers": {"Concord-Expires": str(2**53)}},
        {"headers": {"Concord-Nonce": "m" * 24}},
        {"headers": {"Concord-Signature": ""}},
        {"headers": {"Concord-Signature": "v1=" + "0" * 64}},
    ],
    ids=str,
)
def test_a_request_that_is_not_signed_as_it_is_sent_does_nothing(
    service: Service,
    changes: dict[str, object],
) -> None:
    assert request(service, **changes)[0] == 401
    assert service.states() == []


def test_a_request_with_another_body_does_nothing(service: Service) -> None:
    assert request(service, body=b'{"phase":"commit"}')[0] == 401
    assert service.states() == []


def test_only_a_key_of_the_service_can_answer(service: Service) -> None:
    with called(service.url, keys={"2026": "t" * 32}), pytest.raises(Later, match="not signed"):
        prepare(work(GID))


def test_keys_are_changed_without_a_pause(tmp_path: Path) -> None:
    both = Service(tmp_path, {"old": "o" * 32, "new": "n" * 32})
    both.start()
    both.fill()
    try:
        for keys in ({"old": "o" * 32}, {"new": "n" * 32, "old": "o" * 32}):
            with called(both.url, keys=keys):
                assert prepare(work(GID)).vote is Vote.YES
    finally:
        http.close_idle()
        both.kill()
