"""From what was enlisted to branches: who runs where, and in which form."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections

from coordination import conf
from coordination.exceptions import InvalidArgument
from coordination.kernel.arguments import json_arguments
from coordination.kernel.names import validate_name
from coordination.kernel.nearest import unknown_message
from coordination.transactions.participants import Participant, lookup, registered
from coordination.transactions.types import Form, Mode, NewBranch

VENDORS = {Mode.XA: ("postgresql",), Mode.TCC: ("postgresql", "sqlite")}
"""Databases each mode works on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enlisted:
    """A participant with its arguments, checked. Equal when it is the same work."""

    participant: str
    node: str
    using: str
    mode: Mode
    inline: bool
    args_json: str


def enlisted(participant: str, args: Mapping[str, Any]) -> Enlisted:
    """Check a participant and its arguments as far as this process can.

    Raises InvalidName, UnknownParticipant, InvalidArgument.
    """
    validate_name(participant, what="participant name")
    settings = conf.current()
    args_json = json_arguments(
        args,
        what=f"participant {participant!r}",
        bytes_max=settings.transactions.arguments_bytes_max,
    )
    node = settings.node_of_participant(participant)
    known = registered().get(participant)
    if known is None and (node is None or node == settings.node):
        known = lookup(participant)  # raises, naming the nearest
    if known is not None:
        known.check_arguments(args)
        _require_usable(known)
    return Enlisted(
        participant=participant,
        node=settings.node if node is None else node,
        using=known.using if known is not None else "",
        mode=known.mode if known is not None else Mode.XA,
        inline=node is None,
        args_json=args_json,
    )


def _require_usable(known: Participant) -> None:
    """Its database is there and can do what its mode needs."""
    if known.using not in connections:
        raise InvalidArgument(
            unknown_message("database", known.using, connections), name=known.name
        )
    vendor = connections[known.using].vendor
    if vendor not in VENDORS[known.mode]:
        raise InvalidArgument(
            f"participant {known.name!r} is mode {known.mode.value!r} on {known.using!r}, a "
            f"{vendor} database; that mode works on {' and '.join(VENDORS[known.mode])}.",
            name=known.name,
            store=known.using,
        )


def branches(parts: Sequence[Enlisted], *, coordinator: str) -> tuple[NewBranch, ...]:
    """Number the branches from 1 and give each its form. `coordinator` is its tables' alias."""
    forms = _forms(parts, coordinator)
    return tuple(
        NewBranch(
            seq=index + 1,
            participant=part.participant,
            node=part.node,
            using=part.using,
            mode=part.mode,
            form=form,
            inline=part.inline,
            args=json.loads(part.args_json),
        )
        for index, (part, form) in enumerate(zip(parts, forms, strict=True))
    )


def _forms(parts: Sequence[Enlisted], coordinator: str) -> list[Form]:
    forms = [Form.PREPARE] * len(parts)
    local = [index for index, part in enumerate(parts) if _may_be_last(part, coordinator)]
    if local and all(part.inline for part in parts):
        forms[local[-1]] = Form.LAST
    elif len(parts) == 1 and parts[0].mode is Mode.XA and _shares_our_tables(parts[0]):
        forms[0] = Form.LAST if local else Form.ONE_PHASE
    return forms


def _may_be_last(part: Enlisted, coordinator: str) -> bool:
    return part.mode is Mode.XA and part.using == coordinator and _shares_our_tables(part)


def _shares_our_tables(part: Enlisted) -> bool:
    # Another node's alias of the same name may be another database.
    return part.node == conf.current().node
