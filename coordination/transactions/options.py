"""Checks of what `distributed_transaction` is given, before anything happens."""

from collections.abc import Iterable
from typing import Any

from celery import Signature, Task, current_task
from django.db import connections

from coordination import conf
from coordination.connections import database
from coordination.consensus.naming import PAXOS
from coordination.consensus.stores import registers_of
from coordination.exceptions import InvalidArgument
from coordination.kernel import arguments, nearest
from coordination.transactions.types import ROW, Protocol

KNOWN = {"protocol", "deadline", "key", "wait", "then", "register"}


def check_names(options: Iterable[str]) -> None:
    """Raise InvalidArgument for an option that there is not."""
    if "timeout" in options:
        raise InvalidArgument(
            "distributed_transaction takes no timeout=: pass deadline= for how long it may stay "
            "undecided, or wait= to result() for how long you wait."
        )
    for option in options:
        if option not in KNOWN:
            raise InvalidArgument(nearest.unknown_message("option", option, KNOWN))


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


def register_of(register: object, protocol: Protocol) -> str:
    """Where the outcome is to be decided: ROW, "paxos", or the alias of a store.

    Raises InvalidArgument for one that does not exist or does not go with the protocol,
    NotSupportedByStore for a store that cannot decide.
    """
    settings = conf.current()
    if protocol is Protocol.PAXOS:
        if register not in (None, PAXOS):
            raise InvalidArgument(
                "protocol 'paxos' has a register for each vote in the quorum and none for the "
                f"outcome: leave register= out, not {register!r:.80}."
            )
        register = PAXOS
    elif register is None:
        register = settings.transactions.register
    known = [ROW, PAXOS, *settings.stores]
    if not isinstance(register, str) or register not in known:
        raise InvalidArgument(nearest.unknown_message("register", register, known))
    if register != ROW:
        registers_of(register)
    return register


def refuse_atomic(using: str, what: str) -> None:
    """Raise InvalidArgument inside `atomic()` of a database whose commits must be its own."""
    if using in connections and database.in_transaction(using):
        raise InvalidArgument(
            f"{what} cannot be used inside atomic() of database {using!r}, or with its autocommit "
            "off: its own commits would wait for yours. Leave the block first, or turn "
            f"ATOMIC_REQUESTS off for this view; in tests use TransactionTestCase.",
            store=using,
        )


def refuse_waiting_worker(participant: str) -> None:
    """Raise InvalidArgument in a Celery worker, which would be held until `participant` votes."""
    task: Any = current_task
    if bool(task) and not task.request.called_directly:
        raise InvalidArgument(
            f"wait=True inside a Celery task would hold its worker until {participant!r} has "
            "voted; pass wait=False and then=<signature> to go on after the decision.",
            name=participant,
        )
