"""Queueing a continuation: its row first, then its place in the queue of the lock."""

import json
from datetime import timedelta
from typing import Any

from celery import Signature
from django.db.models.functions import Now

from coordination import conf
from coordination.connections.deadlines import reaching
from coordination.exceptions import CoordinationError, InvalidArgument
from coordination.locks.continuations import rows, sending
from coordination.locks.continuations.tables import Continuation
from coordination.locks.continuations.types import Form, State
from coordination.locks.options import Options
from coordination.locks.stores import lock_store
from coordination.locks.types import Held

STAY_MS = 15_000
"""How long the store keeps a place before a keeper has asked again."""


def queue(
    id_: str,
    name: str,
    *,
    store: str,
    options: Options,
    context: str,
    form: Form,
    signature: "Signature[Any]",
    on_timeout: "Signature[Any] | None",
) -> Continuation:
    """Queue it, once for `id_`; returns its row.

    Raises InvalidArgument when `id_` was used with other arguments, StoreUnavailable (not queued)
    or OutcomeUnknown when the coordinator's database does not answer. A store that cannot be
    reached now is asked by a keeper later.
    """
    wait = None if options.wait_s is None else timedelta(seconds=options.wait_s)
    values = {
        "form": form,
        "store": store,
        "name": name,
        "mode": options.mode,
        "ttl_ms": options.ttl_ms,
        "owner": options.owner or f"{context:.100}",
        "context": context,
        "metadata": options.metadata,
        "signature": _plain(signature),
        "on_timeout": None if on_timeout is None else _plain(on_timeout),
    }
    with reaching(conf.current().transactions.using):
        row, made = rows.rows().get_or_create(
            id=id_,
            defaults={
                **values,
                "state": State.WAITING,
                "deadline_at": None if wait is None else Now() + wait,
            },
        )
        if not made:
            _refuse_another(row, values)
            return row
        row.refresh_from_db(using=row._state.db)
        _ask(row)
    return row


def _ask(row: Continuation) -> None:
    request = row.request()
    try:
        answer = lock_store(row.store).acquire(request, stay_ms=STAY_MS)
    except CoordinationError:
        return  # a keeper asks again, with the same id
    if isinstance(answer, Held):
        sending.granted(row, answer.token)


def _refuse_another(row: Continuation, values: dict[str, Any]) -> None:
    for field, value in values.items():
        if getattr(row, field) != value:
            raise InvalidArgument(
                f"op_id was used before, for a continuation with another {field}: "
                f"{getattr(row, field)!r:.80}, not {value!r:.80}."
            )


def _plain(signature: "Signature[Any]") -> Any:
    return json.loads(json.dumps(signature))
