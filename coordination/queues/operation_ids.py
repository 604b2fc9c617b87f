"""Names of calls: a store that sees the same again gives the first answer again."""

import hashlib
import secrets

from coordination.exceptions import InvalidArgument


def new() -> str:
    """Of a call that only its own caller repeats."""
    return secrets.token_hex(10)


def of(verb: str, op_id: object) -> str:
    """Of a call that somebody may make again with the same op id. Raises InvalidArgument."""
    if not isinstance(op_id, str) or not op_id:
        raise InvalidArgument(f"op_id must be a str that says something, not {op_id!r:.80}.")
    return hashlib.blake2b(f"{verb} {op_id}".encode(), digest_size=12).hexdigest()


def part(op: str, number: int) -> str:
    """Of one step of a call that takes several."""
    return f"{op}-{number}"
