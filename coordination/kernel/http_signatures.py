"""Signed HTTP requests and answers, version 1: what is signed, and whether it is right.

HMAC-SHA256 (RFC 2104) over lines of text, none of which can hold a line feed. The signature of an
answer holds the request's, so it can be the answer to nothing else. `docs/http-participants.md` is
this in words, with examples that a test keeps true.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

from coordination.exceptions import BadSignature
from coordination.kernel.envelopes import SKEW_MS_MAX, Keys

FROM, KEY, NONCE = "Concord-From", "Concord-Key", "Concord-Nonce"
ISSUED, EXPIRES, SIGNATURE = "Concord-Issued", "Concord-Expires", "Concord-Signature"
TTL_MS = 300_000
"""How long a request may be under way: nothing queues it, so only clocks need the room."""

_REQUEST, _ANSWER, _SCHEME = "concord-http-1", "concord-http-answer-1", "v1="
_NUMBER = re.compile(r"[0-9]{1,16}")
_NONCE = re.compile(r"[!-~]{16,100}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is signed of a request."""

    method: str
    target: str
    """Path and query, as they stand in the request line."""
    sender: str
    """Node."""
    key: str
    """Id of the key that signs."""
    nonce: str
    issued_ms: int
    expires_ms: int
    """Since the epoch, by the sender's clock."""
    body: bytes

    def headers(self, secret: str) -> dict[str, str]:
        """The headers that sign it."""
        return {
            FROM: self.sender,
            KEY: self.key,
            NONCE: self.nonce,
            ISSUED: str(self.issued_ms),
            EXPIRES: str(self.expires_ms),
            SIGNATURE: self.signature(secret),
        }

    def signature(self, secret: str) -> str:
        """Its signature by a secret, with the version in front."""
        return _signature(
            secret,
            *(_REQUEST, self.method, self.target, self.sender, self.key, self.nonce),
            *(str(self.issued_ms), str(self.expires_ms), _digest(self.body)),
        )


def sender_of(headers: Mapping[str, str]) -> str:
    """Who a request says that it is from: whose keys are to prove it.

    Raises BadSignature where it says nothing.
    """
    sender = headers.get(FROM)
    if not sender:
        raise BadSignature(f"the request has no header {FROM}.")
    return sender


def verified(
    headers: Mapping[str, str],
    keys: Keys,
    *,
    method: str,
    target: str,
    body: bytes,
    now_ms: int,
) -> Request:
    """The request, if one of `keys` signed it and it has not expired.

    Raises BadSignature.
    """
    request = Request(
        method=method,
        target=target,
        sender=sender_of(headers),
        key=headers.get(KEY, ""),
        nonce=_matching(headers, NONCE, _NONCE),
        issued_ms=int(_matching(headers, ISSUED, _NUMBER)),
        expires_ms=int(_matching(headers, EXPIRES, _NUMBER)),
        body=body,
    )
    # An unknown key costs the same time as a wrong signature.
    expected = request.signature(keys.get(request.key, ""))
    given = headers.get(SIGNATURE, "")
    right = hmac.compare_digest(expected.encode(), given.encode(errors="replace"))
    if not right or request.key not in keys:
        raise BadSignature(f"a request from {request.sender!r:.40} is not signed by a key of it.")
    if now_ms > request.expires_ms:
        late_s = (now_ms - request.expires_ms) / 1000
        raise BadSignature(f"a request from {request.sender!r} expired {late_s:.0f} s ago.")
    if request.issued_ms > now_ms + SKEW_MS_MAX:
        early_s = (request.issued_ms - now_ms) / 1000
        raise BadSignature(
            f"a request from {request.sender!r} is of {early_s:.0f} s from now; look at the clocks."
        )
    return request


def answer_signature(secret: str, *, request: str, status: int, body: bytes) -> str:
    """The signature of an answer to the request that has the signature `request`."""
    return _signature(secret, _ANSWER, request, str(status), _digest(body))


def is_answer(secret: str, given: str, *, request: str, status: int, body: bytes) -> bool:
    """Whether `given` signs this answer to that request."""
    expected = answer_signature(secret, request=request, status=status, body=body)
    return hmac.compare_digest(expected.encode(), given.encode(errors="replace"))


def _matching(headers: Mapping[str, str], name: str, pattern: re.Pattern[str]) -> str:
    value = headers.get(name, "")
    if pattern.fullmatch(value) is None:
        raise BadSignature(f"the header {name} is {value!r:.40}.")
    return value


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _signature(secret: str, *lines: str) -> str:
    text = "\n".join(lines).encode(errors="replace")
    return _SCHEME + hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
