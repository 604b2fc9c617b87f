"""The address that other services call: opens what is signed, has it done, signs the answer."""

import json
import logging
import time

from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from coordination import conf
from coordination.exceptions import BadSignature
from coordination.http import calls
from coordination.http.calls import Reply
from coordination.kernel import http_signatures
from coordination.kernel.http_signatures import Request
from coordination.kernel.settings import HttpCaller

logger = logging.getLogger(__name__)

BODY_BYTES_MAX = 1024 * 1024


# What is signed cannot be forged by a page, and a branch is prepared outside any transaction.
@csrf_exempt
@login_not_required
@require_POST
@transaction.non_atomic_requests
def participants(request: HttpRequest) -> HttpResponse:
    """Prepare, commit or cancel one branch of a caller's transaction.

    Answers 401 without a signature to what no caller may have signed, 413 to what is too large
    or does not tell its length.
    """
    size = request.headers.get("Content-Length", "")
    if not size.isdecimal() or int(size) > BODY_BYTES_MAX:
        return HttpResponse(status=413)
    try:
        opened, caller = _opened(request)
    except BadSignature as error:
        logger.error("refused a call: %s", error)  # noqa: TRY400 - no fault of ours
        return HttpResponse(status=401)
    secret = caller.keys[opened.key]
    return _signed(calls.perform(opened, caller), opened.signature(secret), secret)


def _opened(request: HttpRequest) -> tuple[Request, HttpCaller]:
    """What was signed, and by whom. Raises BadSignature."""
    sender = http_signatures.sender_of(request.headers)
    caller = conf.current().http_callers.get(sender)
    if caller is None:
        raise BadSignature(f"{sender!r:.40} is no key of COORDINATION['HTTP_CALLERS'].")
    opened = http_signatures.verified(
        request.headers,
        caller.keys,
        method=request.method or "",
        target=request.get_full_path(),
        body=request.body,
        now_ms=time.time_ns() // 1_000_000,
    )
    return opened, caller


def _signed(reply: Reply, request: str, secret: str) -> HttpResponse:
    body = json.dumps(dict(reply.told)).encode()
    signature = http_signatures.answer_signature(
        secret, request=request, status=reply.status, body=body
    )
    headers = {http_signatures.SIGNATURE: signature}
    if reply.retry_after_s:
        headers["Retry-After"] = str(reply.retry_after_s)
    return HttpResponse(body, status=reply.status, content_type="application/json", headers=headers)
