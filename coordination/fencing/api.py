"""`fenced_value`: a value in Redis that refuses a writer whose lock has passed on."""

import json
import secrets
from typing import Any

from coordination import conf, registry
from coordination.exceptions import InvalidArgument, StaleToken
from coordination.fencing.stores import value_store
from coordination.fencing.telling import telling
from coordination.fencing.tokens import UNFENCED, Token, fence_of
from coordination.fencing.types import Call, Stored
from coordination.kernel import names
from coordination.kernel.arguments import json_value

VALUE_BYTES_MAX = 256 * 1024
KEPT_MS = 20_000
"""How long a call that nobody gave an id is remembered: far longer than it may be repeated."""


class FencedValue:
    """A JSON value by name, and the newest token that wrote it."""

    def __init__(self, name: str, *, store: str) -> None:
        self.name = name
        self.store = store
        self._values = value_store(store)

    def get(self) -> Any:
        """The value, None when there is none. Raises StoreUnavailable, OutcomeUnknown."""
        return self.read().value

    def read(self) -> Stored:
        """The value and its token. Raises StoreUnavailable, OutcomeUnknown."""
        text, token = self._values.read(self.name)
        return Stored(value=None if text is None else json.loads(text), token=token)

    def set(self, value: Any, *, token: Token | None = None, op_id: str | None = None) -> None:
        """Write a JSON value with `token`: a grant, its number, or UNFENCED.

        With the `op_id` of an earlier call nothing is written again; it gets that call's answer.

        Raises StaleToken when a newer token has written, LockLost when the grant is lost already,
        InvalidArgument; nothing was written then. StoreUnavailable or OutcomeUnknown from the
        store.
        """
        if value is None:
            raise InvalidArgument(f"{self!r} cannot hold None: call delete().", name=self.name)
        text = json_value(value, what=f"fenced value {self.name!r}", bytes_max=VALUE_BYTES_MAX)
        self._write(text, token, op_id, "set()")

    def delete(self, *, token: Token | None = None, op_id: str | None = None) -> None:
        """Delete the value; its token is remembered for a week. Raises as `set`."""
        self._write(None, token, op_id, "delete()")

    def _write(self, text: str | None, token: Token | None, op_id: str | None, verb: str) -> None:
        if op_id is not None:
            names.validate_name(op_id, what="op_id")
        fence = fence_of(token, what=f"{verb} of fenced value {self.name!r}")
        number = None if fence is UNFENCED else fence
        written = self._values.write(self.name, text, fence=number, call=_call(op_id))
        if written.refused:
            with telling(token, what=f"fenced value {self.name}"):
                raise StaleToken(
                    f"Fenced value {self.name!r} was written with token {written.standing}; "
                    f"{number} is older and may not write any more.",
                    name=self.name,
                    store=self.store,
                    reason=f"token {number} is older than {written.standing}",
                    token=number,
                    newer=written.standing,
                )

    def __repr__(self) -> str:
        return f"<FencedValue {self.name} on {self.store}>"


def _call(op_id: str | None) -> Call:
    if op_id is None:
        return Call(id=secrets.token_hex(12), kept_ms=KEPT_MS)
    return Call(id=op_id, kept_ms=conf.current().op_id_ttl_ms)


def fenced_value(name: str, *, using: str | None = None) -> FencedValue:
    r"""A fenced value by name; nothing is sent before `get` or `set`.

    Args:
        name: 1 to 200 bytes, without spaces and `{}*?[]\`.
        using: alias of its store, a Redis; DEFAULT by default.

    Raises InvalidName, InvalidArgument, NotSupportedByStore.
    """
    name = names.validate_name(name, what="fenced value's name")
    return FencedValue(name, store=registry.route("fenced", name, using=using))
