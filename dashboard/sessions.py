"""Whether the logins behind open sockets still stand: asked for all of them at once.

A socket outlives the request that opened it, so logout, password change, deactivation and a lost
permission must be looked for. One check costs two queries however many sockets there are (with
the database session engine; others are asked one by one).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user_model,
)
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore as DatabaseSession
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from dashboard.access import may_view


class Refusal(IntEnum):
    """Close codes of sockets whose login no longer allows them."""

    SIGNED_OUT = 4401
    FORBIDDEN = 4403


def refusals(keys: Iterable[str]) -> dict[str, Refusal]:
    """The session keys whose sockets must close, with the code. Blocking; runs in a thread."""
    wanted = set(keys)
    sessions = _load(wanted)
    users = _users(sessions.values())
    verdicts = {user_id: may_view(user) for user_id, user in users.items()}
    refused: dict[str, Refusal] = {}
    for key in wanted:
        data = sessions.get(key, {})
        user_id = str(data.get(SESSION_KEY, ""))
        user = users.get(user_id)
        if user is None or not user.is_active or not _hash_stands(user, data):
            refused[key] = Refusal.SIGNED_OUT
        elif not verdicts[user_id]:
            refused[key] = Refusal.FORBIDDEN
    return refused


def _load(keys: set[str]) -> dict[str, Mapping[str, Any]]:
    store: type[SessionBase] = import_module(settings.SESSION_ENGINE).SessionStore
    if store is DatabaseSession:
        model = DatabaseSession.get_model_class()
        rows = model.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
        return {row.session_key: row.get_decoded() for row in rows}
    return {key: store(key).load() for key in keys}


def _users(sessions: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    known = [data for data in sessions if data.get(BACKEND_SESSION_KEY) in _backends()]
    ids = {data[SESSION_KEY] for data in known if SESSION_KEY in data}
    return {str(user.pk): user for user in get_user_model()._default_manager.filter(pk__in=ids)}


def _backends() -> list[str]:
    return list(settings.AUTHENTICATION_BACKENDS)


def _hash_stands(user: Any, data: Mapping[str, Any]) -> bool:
    return constant_time_compare(data.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())
