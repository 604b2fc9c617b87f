"""Celery signatures that arrive in a message: data from outside, so only what is allowed."""

from fnmatch import fnmatchcase
from typing import Any

from celery import Signature

from coordination import conf
from coordination.exceptions import InvalidArgument
from coordination.kernel.arguments import json_arguments

ARGUMENTS_BYTES_MAX = 64 * 1024
PARTS = frozenset({"task", "args", "kwargs", "immutable"})
OPTIONS = frozenset({"queue", "priority", "countdown", "expires"})


def allowed(given: object, *, what: str = "then") -> "Signature[Any]":
    """The signature of one allowed task: no chain, chord or link, which would start others.

    Raises InvalidArgument when CONTINUATIONS does not allow its task, or it holds anything else.
    """
    task = given.get("task") if isinstance(given, dict) else None
    patterns = conf.current().continuations
    if not isinstance(task, str) or not any(fnmatchcase(task, pattern) for pattern in patterns):
        raise InvalidArgument(
            f"{what} names task {task!r:.100}, which COORDINATION['CONTINUATIONS'] does not allow."
        )
    assert isinstance(given, dict)
    parts = {part: value for part, value in given.items() if value}
    options = parts.pop("options", {})
    if not isinstance(options, dict):
        raise InvalidArgument(f"options of {what} must be a mapping, not {options!r:.80}.")
    strange = {*set(parts) - PARTS, *set(options) - OPTIONS}
    if strange:
        raise InvalidArgument(
            f"{what} may hold {', '.join(sorted(PARTS))} and the options "
            f"{', '.join(sorted(OPTIONS))}; not {', '.join(sorted(map(repr, strange)))}."
        )
    _refuse_bad_values(parts, options, what=what)
    return Signature(**parts, options=options)


def _refuse_bad_values(parts: dict[str, Any], options: dict[str, Any], *, what: str) -> None:
    for part, kind in (("args", list | tuple), ("kwargs", dict), ("immutable", bool)):
        if part in parts and not isinstance(parts[part], kind):
            raise InvalidArgument(f"{part} of {what} are not {parts[part]!r:.80}.")
    if not isinstance(options.get("queue", ""), str):
        raise InvalidArgument(f"queue of {what} must be a str, not {options['queue']!r:.80}.")
    for number in ("priority", "countdown", "expires"):
        value = options.get(number, 0)
        if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
            raise InvalidArgument(f"{number} of {what} must be 0 or more, not {value!r:.80}.")
    given = {"args": list(parts.get("args", ())), "kwargs": dict(parts.get("kwargs", {}))}
    json_arguments(given, what=f"arguments of {what}", bytes_max=ARGUMENTS_BYTES_MAX)
