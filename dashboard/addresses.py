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


def address_of(kind: str, name: str) -> str:
    """The page of a transaction or a lock."""
    if kind == "lock":
        return key_address(name)
    return reverse("dashboard:transaction", args=[name])
