"""Addresses of things with names of their own making; `addresses.js` says the same. Pure."""

from __future__ import annotations

from urllib.parse import urlencode

from django.urls import reverse


def lock_address(store: str, kind: str, name: str, *, route: str = "lock") -> str:
    """The page of a lock, or another route of it.

    Browsers resolve `.` and `..` and some servers merge `//` before anybody sees the name, so a
    name with such a part stands in the query.
    """
    if {"", ".", ".."}.isdisjoint(name.split("/")):
        return reverse(f"dashboard:{route}", args=[store, kind, name])
    address = reverse(f"dashboard:{route}-odd", args=[store, kind])
    return f"{address}?{urlencode({'name': name})}"


def key_address(key: str) -> str:
    """The page of the lock with this key: store, kind and name."""
    store, kind, name = key.split(" ", 2)
    return lock_address(store, kind, name)


def counter_address(store: str, name: str, *, route: str = "counter") -> str:
    """The page of a counter, or another route of it; odd names as those of locks."""
    return _named_address(store, name, route)


def queue_address(store: str, name: str, *, route: str = "queue") -> str:
    """The page of a queue, or another route of it; odd names as those of locks."""
    return _named_address(store, name, route)


def _named_address(store: str, name: str, route: str) -> str:
    if {"", ".", ".."}.isdisjoint(name.split("/")):
        return reverse(f"dashboard:{route}", args=[store, name])
    address = reverse(f"dashboard:{route}-odd", args=[store])
    return f"{address}?{urlencode({'name': name})}"


def message_address(store: str, message: str, *, route: str = "message") -> str:
    """The page of a message, or another route of it."""
    return reverse(f"dashboard:{route}", args=[store, message])


def address_of(kind: str, name: str) -> str:
    """The page of a transaction, a lock, a counter or a queue."""
    if kind == "lock":
        return key_address(name)
    if kind in {"counter", "queue"}:
        # Behind the name may be the number of a row or of an event, which has no page of its own.
        store, named, *_ = name.split(" ")
        return _named_address(store, named, kind)
    return reverse("dashboard:transaction", args=[name])
