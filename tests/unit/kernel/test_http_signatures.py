"""Signed requests and answers: the examples of the specification, and what is refused."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import coordination
from coordination.exceptions import BadSignature
from coordination.kernel.http_signatures import (
    EXPIRES,
    ISSUED,
    NONCE,
    Request,
    answer_signature,
    is_answer,
    sender_of,
    verified,
)

SPECIFICATION = Path(coordination.__file__).parents[1] / "docs/http-participants.md"
SECRET = "an-example-secret-of-36-characters.."
REQUEST = Request(
    method="POST",
    target="/branches?v=1",
    sender="orders",
    key="2026-11",
    nonce="5f0c3d9a7b1e4f6028c4d1aa",
    issued_ms=1_795_000_000_000,
    expires_ms=1_795_000_300_000,
    body=b'{"version":1,"phase":"prepare","gid":"orders-6afe3c00-00112233445566ff",'
    b'"branch":"cc:orders-6afe3c00-00112233445566ff:1","participant":"pay.take",'
    b'"args":{"account":7,"cents":1999},"remaining_ms":9000,"attempt":1}',
)
NOW_MS = 1_795_000_001_000


def taken(changes: dict[str, str] | None = None, **more: Any) -> Request:
    given = {
        "keys": {"2026-11": SECRET},
        "method": REQUEST.method,
        "target": REQUEST.target,
        "body": REQUEST.body,
        "now_ms": NOW_MS,
    } | more
    return verified(REQUEST.headers(SECRET) | (changes or {}), **given)


def test_the_examples_of_the_specification_are_right() -> None:
    specification = SPECIFICATION.read_text()
    request = REQUEST.signature(SECRET)
    yes = answer_signature(SECRET, request=request, status=200, body=b'{"vote":"yes"}')
    no = answer_signature(SECRET, request=request, status=409, body=b'{"reason":"no money"}')
    empty = answer_signature(SECRET, request=request, status=425, body=b"")

    assert SECRET in specification
    assert REQUEST.body.decode() in specification
    assert re.findall(r"v1=[0-9a-f]{64}", specification) == [request, yes, no, empty]


def test_what_was_signed_is_taken() -> None:
    assert taken() == REQUEST
    assert sender_of(REQUEST.headers(SECRET)) == "orders"


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "PUT"},
        {"target": "/branches"},
        {"sender": "order"},
        {"key": "2026-12"},
        {"nonce": "5f0c3d9a7b1e4f6028c4d1ab"},
        {"issued_ms": 1},
        {"expires_ms": REQUEST.expires_ms + 1},
        {"body": REQUEST.body + b" "},
    ],
    ids=str,
)
def test_each_part_is_signed(changes: dict[str, Any]) -> None:
    assert replace(REQUEST, **changes).signature(SECRET) != REQUEST.signature(SECRET)


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({NONCE: ""}, {}),
        ({NONCE: "with a space in it"}, {}),
        ({ISSUED: "-1"}, {}),
        ({ISSUED: "١٢"}, {}),
        ({EXPIRES: ""}, {}),
        ({}, {"now_ms": REQUEST.expires_ms + 1}),
        ({}, {"now_ms": REQUEST.issued_ms - 300_001}),
        ({}, {"keys": {"2026-11": SECRET + "x"}}),
        ({}, {"keys": {}}),
        ({}, {"keys": {"": SECRET}}),
    ],
    ids=str,
)
def test_what_is_not_signed_so_is_refused(changes: dict[str, str], more: dict[str, Any]) -> None:
    with pytest.raises(BadSignature):
        taken(changes, **more)


def test_clocks_may_differ_by_five_minutes() -> None:
    assert taken(now_ms=REQUEST.issued_ms - 300_000) == taken(now_ms=REQUEST.expires_ms)


def test_an_answer_is_to_one_request_with_one_status() -> None:
    request = REQUEST.signature(SECRET)
    told = {"request": request, "status": 200, "body": b"{}"}
    signed = answer_signature(SECRET, **told)  # type: ignore[arg-type]

    assert is_answer(SECRET, signed, **told)  # type: ignore[arg-type]
    for change in ({"request": "v1=0"}, {"status": 409}, {"body": b""}):
        assert not is_answer(SECRET, signed, **(told | change))  # type: ignore[arg-type]
    assert not is_answer(SECRET, "v1=\udcff", **told)  # type: ignore[arg-type]


def test_the_signature_of_a_request_is_none_of_an_answer() -> None:
    request = REQUEST.signature(SECRET)

    assert not is_answer(SECRET, request, request=request, status=200, body=b"")
