"""Requests to a service that nobody signed for it: each has to be refused, and change nothing."""

import time
from collections.abc import Iterator
from dataclasses import replace

from coordination import conf
from coordination.connections import http
from coordination.connections.http import Unanswered
from coordination.kernel.http_signatures import SIGNATURE, Request
from coordination.transactions import services
from coordination.transactions.branches.http import PREPARE, question
from coordination.transactions.types import Work

ANSWER_S = 10
FORGED = "x" * 64


def forged(work: Work) -> Iterator[tuple[str, int]]:
    """Prepares of a branch, each with what is wrong with it, and the status it got; 0 for none."""
    service = conf.current().http_service(work.participant)
    assert service is not None
    right, secret = services.signable(service, question(work, PREPARE))
    other = right.body.replace(b'"prepare"', b'"commit"')
    headers = right.headers(secret)
    hour_ms = 3_600_000
    late = replace(right, issued_ms=right.issued_ms - hour_ms, expires_ms=right.issued_ms - 1)
    early = replace(
        right, issued_ms=right.issued_ms + hour_ms, expires_ms=right.expires_ms + hour_ms
    )
    unknown = replace(right, key="no-such-key")
    for what, body, sent in (
        ("an unsigned request", right.body, _without_signature(headers)),
        ("a request signed by a foreign secret", right.body, right.headers(FORGED)),
        ("a request with an unknown key", right.body, unknown.headers("")),
        ("a request with another body than was signed", other, headers),
        ("a request that has expired", right.body, late.headers(secret)),
        ("a request from an hour ahead", right.body, early.headers(secret)),
        ("a request signed for another path", right.body, _elsewhere(right).headers(secret)),
    ):
        until = time.monotonic() + ANSWER_S
        try:
            yield what, http.post(service.url, body, sent, until=until, ca=service.ca).status
        except Unanswered:
            yield what, 0


def _without_signature(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != SIGNATURE}


def _elsewhere(request: Request) -> Request:
    return replace(request, target=f"{request.target}-elsewhere")
