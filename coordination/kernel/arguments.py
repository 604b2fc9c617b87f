"""Arguments of a participant's call as canonical JSON.

Two calls with equal arguments give equal text, which tells whether a repeated key came with the
same work. What cannot survive the journey through JSON and PostgreSQL's ``jsonb``
unchanged is refused here, before anything is sent.
"""

import json
import math
from collections.abc import Mapping

from coordination.exceptions import InvalidArgument

ARGUMENTS_BYTES_MAX = 64 * 1024
DEPTH_MAX = 32
INTEGER_MAX = 2**53 - 1
"""Beyond it JSON readers that use doubles (JavaScript, Lua) lose digits."""
CHARACTER_BYTES_MAX = 4
"""What a character takes in UTF-8, at most."""

_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


def json_arguments(
    arguments: Mapping[str, object], *, what: str, bytes_max: int = ARGUMENTS_BYTES_MAX
) -> str:
    """Return the canonical JSON of ``arguments``.

    Args:
        arguments: name → value; values are None, bool, int, float, str, lists and str-keyed dicts.
        what: whose arguments they are, for the error.
        bytes_max: the largest size allowed, in bytes of JSON.

    Raises:
        InvalidArgument: a value cannot be carried (the message names its key and type), or the
            whole is larger than ``bytes_max``.
    """
    for key, value in arguments.items():
        _check(value, f"argument {key!r} of {what}", depth=1)
    text = _CANONICAL.encode(dict(arguments))
    if not _fits(text, bytes_max):
        raise _too_large(f"The arguments of {what} take", text, bytes_max)
    return text


def json_value(value: object, *, what: str, bytes_max: int) -> str:
    """Return the canonical JSON of one value, under the rules of `json_arguments`."""
    _check(value, f"the value of {what}", depth=1)
    text = _CANONICAL.encode(value)
    if not _fits(text, bytes_max):
        raise _too_large(f"The value of {what} takes", text, bytes_max)
    return text


def _fits(text: str, bytes_max: int) -> bool:
    # To encode a text takes about as long as to write it, so most are judged by their length.
    return len(text) * CHARACTER_BYTES_MAX <= bytes_max or len(text.encode()) <= bytes_max


def _too_large(subject: str, text: str, bytes_max: int) -> InvalidArgument:
    return InvalidArgument(
        f"{subject} {len(text.encode())} bytes as JSON; the limit is {bytes_max}. "
        "Store the large value and pass its id."
    )


def _check(value: object, where: str, *, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise InvalidArgument(f"{where} is nested deeper than {DEPTH_MAX} levels.")
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        _check_text(value, where)
    elif isinstance(value, int):
        if abs(value) > INTEGER_MAX:
            raise InvalidArgument(f"{where} is beyond ±(2^53-1): {value!r:.80}. Pass a str.")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidArgument(f"{where} is {value!r}, which JSON cannot carry.")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check(item, f"{where} at [{index}]", depth=depth + 1)
    elif isinstance(value, dict):
        _check_dict(value, where, depth=depth)
    else:
        raise InvalidArgument(
            f"{where} is of type {type(value).__name__}, which JSON cannot carry. "
            "Pass a str or a number."
        )


def _check_dict(value: dict[object, object], where: str, *, depth: int) -> None:
    for key, item in value.items():
        if not isinstance(key, str):
            raise InvalidArgument(f"{where} has the key {key!r:.80}; keys must be str.")
        _check_text(key, f"a key of {where}")
        _check(item, f"{where} at [{key!r:.80}]", depth=depth + 1)


def _check_text(value: str, where: str) -> None:
    if "\x00" in value:
        raise InvalidArgument(f"{where} holds a NUL character, which PostgreSQL cannot store.")
    if value.isascii():
        return
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(f"{where} holds a lone surrogate, which is not text.") from None
