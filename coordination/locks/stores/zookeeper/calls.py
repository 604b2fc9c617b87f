"""What is remembered of a call that is over: for repetitions, and copies that arrive late."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from coordination.connections.zookeeper_requests import Create


class End(StrEnum):
    """How a call ended."""

    RELEASED = "released"
    LEFT = "left"
    """It was not granted, or there was nothing to release."""
    EXPIRED = "expired"
    FORCED = "forced"
    FORCE = "force"
    """It was no claim, but an operator's call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What stands in its node."""

    end: End
    kept_ms: int
    """How long it is to be remembered."""
    tokens: Sequence[int] = ()
    """What an operator's call took away."""


def remembering(path: str, end: End, *, kept_ms: int, tokens: Sequence[int] = ()) -> Create:
    """The step that remembers a call."""
    return Create(path=path, data=json.dumps([end, kept_ms, list(tokens)]).encode())


def call_of(data: bytes) -> Call:
    """The call of a node."""
    end, kept_ms, tokens = json.loads(data)
    return Call(end=End(end), kept_ms=kept_ms, tokens=tokens)
