"""Calls of services that are participants: signed, answered in time, and believed only if signed.

`HTTP_PARTICIPANTS` names them and the secrets shared with each. What they are sent and may answer
is written down for their authors in `docs/http-participants.md`.
"""

import json
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coordination import conf
from coordination.connections import http
from coordination.connections.http import Answer, Unanswered
from coordination.exceptions import UnknownParticipant
from coordination.kernel.http_signatures import SIGNATURE, TTL_MS, Request, is_answer
from coordination.kernel.settings import HttpService
from coordination.transactions.branches.answer import Later, NotYet

logger = logging.getLogger(__name__)

NONCE_BYTES = 12
DONE, REFUSED, NOT_YET = 200, 409, 425
"""The statuses that mean something; any other is no answer."""
RETRY_AFTER_S_MAX = 60
"""A service that asks for more time than this is asked sooner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a service answered: yes, or no with its reason."""

    done: bool
    vote: str
    reason: str
    committed: bool
    """With a no to prepare: its work stays all the same, which is against the rules."""


def ask(participant: str, question: Mapping[str, Any], *, remaining_ms: int | None) -> Said:
    """Ask the service behind a participant, for no longer than `remaining_ms`.

    Raises Later when it asks for time, or its answer is missing, unsigned or makes no sense.
    """
    service = conf.current().http_service(participant)
    if service is None:
        raise UnknownParticipant(
            f"participant {participant!r} is not in COORDINATION['HTTP_PARTICIPANTS'] here.",
            name=participant,
        )
    timeout_ms = service.timeout_ms
    if remaining_ms is not None:
        timeout_ms = min(timeout_ms, remaining_ms)
    until = time.monotonic() + timeout_ms / 1000
    request, secret = signable(service, question)
    headers = request.headers(secret) | {"Content-Type": "application/json"}
    try:
        answer = http.post(service.url, request.body, headers, until=until, ca=service.ca)
    except Unanswered as error:
        raise Later(str(error)) from error
    _require_signed(answer, request.signature(secret), secret, participant)
    return _said(answer, participant)


def signable(service: HttpService, question: Mapping[str, Any]) -> tuple[Request, str]:
    """The request that asks a service, and the secret that signs it."""
    key, secret = next(iter(service.keys.items()))
    now_ms = time.time_ns() // 1_000_000
    request = Request(
        method="POST",
        target=http.target_of(service.url),
        sender=conf.current().node,
        key=key,
        nonce=secrets.token_hex(NONCE_BYTES),
        issued_ms=now_ms,
        expires_ms=now_ms + TTL_MS,
        body=json.dumps(dict(question), separators=(",", ":"), allow_nan=False).encode(),
    )
    return request, secret


def _require_signed(answer: Answer, request: str, secret: str, participant: str) -> None:
    """Only the service may vote: not a proxy before it, nor a page that answers every address."""
    given = answer.headers.get(SIGNATURE.lower(), "")
    if is_answer(secret, given, request=request, status=answer.status, body=answer.body):
        return
    raise Later(f"the answer {answer.status} of {participant} is not signed by the service")


def _said(answer: Answer, participant: str) -> Said:
    if answer.status == NOT_YET:
        raise NotYet(f"{participant} asks for time", retry_ms=_retry_ms(answer))
    if answer.status not in (DONE, REFUSED):
        raise Later(f"{participant} answered {answer.status}")
    told = _told(answer.body, participant)
    return Said(
        done=answer.status == DONE,
        vote=str(told.get("vote", "")),
        reason=str(told.get("reason", "")),
        committed=told.get("committed") is True,
    )


def _told(body: bytes, participant: str) -> dict[str, Any]:
    if not body:
        return {}
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Later(f"the answer of {participant} is no JSON") from error
    if not isinstance(told, dict):
        raise Later(f"the answer of {participant} is no JSON object")
    return told


def _retry_ms(answer: Answer) -> int:
    """Seconds of Retry-After, within bounds; a date is not read, as clocks differ."""
    asked = answer.headers.get("retry-after", "")
    return min(int(asked), RETRY_AFTER_S_MAX) * 1000 if asked.isdecimal() else 0
