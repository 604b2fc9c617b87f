"""Names of calls: a store that sees the same again gives the first answer again."""

import hashlib
import secrets
from collections.abc import Sequence

from coordination.exceptions import InvalidArgument


def new() -> str:
    """Of a call that only its own caller repeats."""
    return secrets.token_hex(10)


def of(verb: str, op_id: object, *, queue: str, store: str, of_what: Sequence[str] = ()) -> str:
    """Of a call that somebody may make again with the same op id. Raises InvalidArgument.

    An op id names one call of each queue: messages of two that come to meet, in an outbox or as
    dead letters, must not have the same id. Where `of_what` is given, it is another call with
    others.
    """
    if not isinstance(op_id, str) or not op_id:
        raise InvalidArgument(f"op_id must be a str that says something, not {op_id!r:.80}.")
    try:
        words = f"{verb}\n{queue}\n{store}\n{op_id}".encode()
        digest = hashlib.blake2b(words, digest_size=12)
    except UnicodeEncodeError:
        raise InvalidArgument(f"op_id must be text that UTF-8 has, not {op_id!r:.80}.") from None
    for each in of_what:
        digest.update(f"\n{each}".encode())
    return digest.hexdigest()


def part(op: str, number: int) -> str:
    """Of one step of a call that takes several."""
    return f"{op}-{number}"
