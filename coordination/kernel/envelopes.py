"""Signed messages between two services that share a secret and a broker, but no database.

Celery's own `auth` serializer signs the body alone: the headers, which name the task to run, and a
copy of the whole message pass. Here one text says which task, from whom, for whom and until when,
and what, and HMAC-SHA256 (RFC 2104) over sender, key and text says that it is so. What is signed is
the text as it travels, so nobody has to spell JSON the same way twice.

A copy that arrives again is no matter of the envelope: the broker itself delivers twice, and each
task that takes envelopes does its work once. It may not arrive after `expires`, because what says
that the work was done is not kept for ever.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coordination.exceptions import BadSignature

TEXT_BYTES_MAX = 8 * 1024 * 1024
SECRET_CHARS_MIN = 32
SKEW_MS_MAX = 300_000
"""How far the clocks of two services may be apart."""
_VERSION = 1

Keys = Mapping[str, str]
"""Id → secret. The first signs; the others are accepted, so that secrets can be changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What one service tells another."""

    task: str
    """The only task it is meant for."""
    sender: str
    receiver: str
    """Nodes."""
    nonce: str
    """Of this message alone: by it the logs of both services can be joined."""
    issued_ms: int
    expires_ms: int
    """Since the epoch, by the sender's clock."""
    arguments: Mapping[str, Any]


def seal(envelope: Envelope, keys: Keys) -> dict[str, str]:
    """The message of an envelope: what is signed, and by which key."""
    key = next(iter(keys))
    text = json.dumps(
        {
            "version": _VERSION,
            "task": envelope.task,
            "to": envelope.receiver,
            "nonce": envelope.nonce,
            "issued": envelope.issued_ms,
            "expires": envelope.expires_ms,
            "arguments": dict(envelope.arguments),
        },
        separators=(",", ":"),
        allow_nan=False,
    )
    mac = _mac(keys[key], envelope.sender, key, text)
    return {"from": envelope.sender, "key": key, "text": text, "mac": mac}


def sender_of(message: object) -> str:
    """Who a message says that it is from: whose keys are to prove it.

    Raises BadSignature for what is no sealed message.
    """
    parts = {"from", "key", "text", "mac"}
    if not isinstance(message, dict) or set(message) != parts:
        raise BadSignature(f"a sealed message holds {', '.join(sorted(parts))}.")
    if not all(isinstance(part, str) for part in message.values()):
        raise BadSignature("the parts of a sealed message are str.")
    if len(message["text"]) > TEXT_BYTES_MAX:
        raise BadSignature(f"a sealed message may hold {TEXT_BYTES_MAX} characters.")
    return str(message["from"])


def unseal(
    message: Mapping[str, str], keys: Keys, *, task: str, receiver: str, now_ms: int
) -> Envelope:
    """What a sealed message says, after `sender_of` has told whose `keys` they must be.

    Args:
        task: the task that runs, whichever name the message's header gave.
        receiver: this node.
        now_ms: since the epoch.

    Raises BadSignature: it is not signed by one of the keys, is for another task or node, or too
    old, or from a clock too far ahead.
    """
    sender, key, text = message["from"], message["key"], message["text"]
    # An unknown key costs the same time as a wrong signature.
    expected = _mac(keys.get(key, ""), sender, key, text)
    right = hmac.compare_digest(expected.encode(), message["mac"].encode(errors="replace"))
    if not right or key not in keys:
        raise BadSignature(f"a message from {sender!r:.40} is not signed by a key of that node.")
    said = json.loads(text)
    envelope = Envelope(
        task=said["task"],
        sender=sender,
        receiver=said["to"],
        nonce=said["nonce"],
        issued_ms=said["issued"],
        expires_ms=said["expires"],
        arguments=said["arguments"],
    )
    fault = _fault(envelope, task=task, receiver=receiver, now_ms=now_ms)
    if said["version"] != _VERSION:
        fault = f"is of version {said['version']!r:.20}, not {_VERSION}"
    if fault:
        raise BadSignature(f"message {envelope.nonce!r:.40} from {sender!r} {fault}.")
    return envelope


def _fault(envelope: Envelope, *, task: str, receiver: str, now_ms: int) -> str:
    """What forbids to take what is signed; empty: nothing."""
    if envelope.task != task:
        return f"is for task {envelope.task}, not for {task}"
    if envelope.receiver != receiver:
        return f"is for node {envelope.receiver!r}, not for {receiver!r}"
    if now_ms > envelope.expires_ms:
        return f"expired {(now_ms - envelope.expires_ms) / 1000:.0f} s ago"
    if envelope.issued_ms > now_ms + SKEW_MS_MAX:
        return f"is of {(envelope.issued_ms - now_ms) / 1000:.0f} s from now; look at the clocks"
    return ""


def _mac(secret: str, sender: str, key: str, text: str) -> str:
    # Nodes and ids of keys hold no line feed, so the three cannot be divided in another way.
    signed = f"{sender}\n{key}\n{text}"
    data = signed.encode(errors="surrogatepass")
    return hmac.new(secret.encode(), data, hashlib.sha256).hexdigest()
