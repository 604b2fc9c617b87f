"""Checks of what `distributed_transaction` is given, before anything happens."""

from typing import Any

from celery import Signature, Task

from coordination.exceptions import InvalidArgument
from coordination.kernel import arguments, nearest
from coordination.transactions.types import Protocol


def protocol_of(value: object) -> Protocol:
    """The protocol by its name. Raises InvalidArgument naming the nearest one."""
    try:
        return Protocol(value)  # type: ignore[arg-type]
    except ValueError:
        known = [protocol.value for protocol in Protocol]
        raise InvalidArgument(nearest.unknown_message("protocol", value, known)) from None


def key_of(key: object) -> str | None:
    """The key, if it can be stored as it is. Raises InvalidArgument."""
    if key is None:
        return None
    text = key.encode(errors="replace").decode() if isinstance(key, str) else None
    if text is None or text != key or not 1 <= len(text) <= 200 or "\x00" in text:
        raise InvalidArgument(
            f"key must be a str of 1 to 200 characters, without NUL or surrogates, not {key!r:.80}."
        )
    return key


def then_payload(then: object) -> dict[str, Any] | None:
    """The continuation as it is stored: a signature, or a task's own. Raises InvalidArgument."""
    if then is None:
        return None
    if isinstance(then, Task):
        then = then.s()
    if not isinstance(then, Signature):
        raise InvalidArgument(
            f"then takes a Celery signature or task, not {type(then).__name__}: {then!r:.80}."
        )
    payload: dict[str, Any] = dict(then)
    payload.pop("chord_size", None)
    arguments.json_arguments(payload, what="the signature in then")
    return payload


def check_register(register: object) -> None:
    """Raise InvalidArgument for a register that does not exist."""
    if register not in (None, "database"):
        raise InvalidArgument(nearest.unknown_message("register", register, ["database"]))
