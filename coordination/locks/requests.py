"""What other apps may ask of locks by Celery task, in JSON."""

import hashlib
from dataclasses import replace
from typing import Any

from coordination import conf, registry, signatures
from coordination.exceptions import InvalidArgument, NotOwner
from coordination.kernel import durations, names
from coordination.locks.api import lock as operators
from coordination.locks.asking import request_for
from coordination.locks.continuations.queueing import queue
from coordination.locks.continuations.types import Form
from coordination.locks.options import Options, options_of, refuse_unknown, resource_of
from coordination.locks.repeating import repeated
from coordination.locks.store import LockStore
from coordination.locks.stores import lock_store
from coordination.locks.types import (
    Claimant,
    Held,
    Kind,
    LockInfo,
    Over,
    Released,
    Request,
    Resource,
    Waiting,
    moment,
)

OPTIONS = ("ttl", "wait", "shared", "using", "owner", "metadata")


def acquire(
    name: str,
    *,
    op_id: str,
    then: dict[str, Any] | None = None,
    on_timeout: dict[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Try to take a lock once for `op_id`; with `then`, queue it to be started when it is granted.

    A try is never renewed: the lease lasts `ttl`. Raises CoordinationError.
    """
    resource, chosen = _chosen(name, options)
    id_ = _id(op_id, resource)
    if then is not None:
        return _queue(id_, resource, chosen, Form.THEN, then, on_timeout)
    if on_timeout is not None or "wait" in options:
        raise InvalidArgument("wait and on_timeout need then: without it acquire is a try.")
    store = _store(resource, chosen.using)
    request = replace(
        request_for(resource, chosen),
        id=id_,
        owner=chosen.owner or f"task:{op_id:.100}",
        # Of its own: one op id may be used for several locks, which do not wait for each other.
        context=f"op:{id_}",
        kept_ms=conf.current().op_id_ttl_ms,
    )
    answer = repeated(
        lambda deadline_ms: store.acquire(request, stay_ms=0, deadline_ms=deadline_ms),
        deadline_ms=store.deadline_ms,
    )
    match answer:
        case Held():
            return {
                "granted": True,
                "grant": request.id,
                "token": answer.token,
                "owner": request.owner,
                "expires_at": moment(answer.until_us).isoformat(),
            }
        case Over():
            return {"granted": False, "grant": request.id, "lost": True}
        case Waiting():
            return {"granted": False, "free_in": answer.look_again_ms / 1000}


def run_locked(
    name: str,
    signature: dict[str, Any],
    *,
    op_id: str,
    on_timeout: dict[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Queue a task to be run once it is granted the lock, which is given back after it."""
    resource, chosen = _chosen(name, options)
    id_ = _id(op_id, resource)
    if isinstance(signature, dict) and signature.get("options"):
        raise InvalidArgument(
            "run_locked runs the task in the worker that takes its turn: it takes no options."
        )
    return _queue(id_, resource, chosen, Form.RUN, signature, on_timeout)


def release(name: str, *, grant: str, using: str | None = None) -> dict[str, Any]:
    """Give back what `acquire` took. Raises NotOwner when it is not held any more."""
    request, store = _known(name, grant, using)
    if store.release(request) is Released.LOST:
        raise NotOwner(f"{request.resource} is not held by grant {grant!r:.80}.", name=name)
    return {}


def renew(name: str, *, grant: str, ttl: Any = None, using: str | None = None) -> dict[str, Any]:
    """Let the lease of what `acquire` took begin anew. Raises NotOwner when it has ended."""
    request, store = _known(name, grant, using, ttl=ttl)
    (held,) = store.renew([request])
    if isinstance(held, Held):
        return {"token": held.token, "expires_at": moment(held.until_us).isoformat()}
    if held is not None:
        raise held
    raise NotOwner(f"{request.resource} is not held by grant {grant!r:.80}.", name=name)


def info(name: str, *, using: str | None = None) -> dict[str, Any]:
    """Who holds it, and who waits in order."""
    resource = resource_of(Kind.LOCK, name)
    return as_json(_store(resource, using).info(resource))


def force_release(
    name: str, *, reason: str, actor: str, using: str | None = None
) -> dict[str, Any]:
    """As `lock.force_release`."""
    tokens = operators.force_release(name, reason=reason, actor=actor, using=using)
    return {"tokens": tokens}


def as_json(seen: LockInfo) -> dict[str, Any]:
    """How a lock stands, for a message."""
    return {
        "name": seen.name,
        "store": seen.store,
        "at": seen.at.isoformat(),
        "token": seen.token,
        "owner": seen.owner,
        "ttl_left": seen.ttl_left,
        "holders": [_claimant(each) for each in seen.holders],
        "waiters": [_claimant(each) for each in seen.waiters],
    }


def _claimant(each: Claimant) -> dict[str, Any]:
    return {
        "owner": each.owner,
        "mode": each.mode.value,
        "token": each.token,
        "since": each.since.isoformat(),
        "until": each.until.isoformat(),
        "context": each.context,
        "metadata": dict(each.metadata),
    }


def _chosen(name: str, options: dict[str, Any]) -> tuple[Resource, Options]:
    resource = resource_of(Kind.LOCK, name)
    refuse_unknown("acquire", options, OPTIONS)
    return resource, options_of(resource, options)


def _queue(
    id_: str,
    resource: Resource,
    chosen: Options,
    form: Form,
    signature: object,
    on_timeout: object,
) -> dict[str, Any]:
    what = "then" if form is Form.THEN else "signature"
    row = queue(
        id_,
        resource.name,
        store=registry.route(Kind.LOCK, resource.name, using=chosen.using),
        options=chosen,
        context=f"op:{id_}",
        form=form,
        signature=signatures.allowed(signature, what=what),
        on_timeout=None
        if on_timeout is None
        else signatures.allowed(on_timeout, what="on_timeout"),
    )
    return {"continuation": row.id, "state": str(row.state), "token": row.token}


def _known(
    name: str, grant: object, using: str | None, *, ttl: Any = None
) -> tuple[Request, LockStore]:
    """The request that a grant's id belongs to, as far as giving back and renewing need it."""
    resource = resource_of(Kind.LOCK, name)
    id_ = names.validate_name(grant, what="grant")
    ttl_ms = {} if ttl is None else {"ttl": durations.to_ms(ttl, what="ttl") / 1000}
    request = request_for(resource, options_of(resource, ttl_ms))
    # What is remembered of an op id is not forgotten sooner because of its end.
    kept_ms = conf.current().op_id_ttl_ms
    return replace(request, id=id_, kept_ms=kept_ms), _store(resource, using)


def _id(op_id: object, resource: Resource) -> str:
    """The id of the call that an op id stands for: another one for each lock."""
    told = names.validate_name(op_id, what="op_id")
    return hashlib.sha256(f"{resource.kind} {resource.name} {told}".encode()).hexdigest()[:32]


def _store(resource: Resource, using: str | None) -> LockStore:
    return lock_store(registry.route(resource.kind, resource.name, using=using))
