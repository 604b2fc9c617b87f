"""From what was enlisted to branches: who runs where, and in which form."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections

from coordination import conf
from coordination.exceptions import InvalidArgument
from coordination.kernel.arguments import json_arguments
from coordination.kernel.names import validate_name
from coordination.kernel.nearest import unknown_message
from coordination.transactions.ordering import Order, Rank, Step
from coordination.transactions.participants import Participant, find, lookup, named
from coordination.transactions.types import Form, Mode, NewBranch

LOCAL = ("postgresql", "sqlite")
VENDORS = {Mode.XA: ("postgresql",), Mode.TCC: LOCAL, Mode.SAGA: LOCAL}
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
    undoable: bool = True
    """Whether an abort can undo it; of a participant that is not known here, it is believed."""


def enlisted(participant: str, args: Mapping[str, Any]) -> Enlisted:
    """Check a participant and its arguments as far as this process can.

    Raises InvalidName, UnknownParticipant, InvalidArgument.
    """
    validate_name(participant, what="participant name")
    settings = conf.current()
    known = find(participant)
    if known is not None and known.place is not None:
        return _placed(known, args)
    args_json = json_arguments(
        args,
        what=f"participant {participant!r}",
        bytes_max=settings.transactions.arguments_bytes_max,
    )
    node = settings.node_of_participant(participant)
    if known is None and (node is None or node == settings.node):
        known = lookup(participant)  # raises, naming the nearest
    if known is not None:
        known.check_arguments(args)
        if known.mode is not Mode.HTTP:
            _require_usable(known.name, known.using, known.mode)
    return Enlisted(
        participant=participant,
        node=settings.node if node is None else node,
        using=known.using if known is not None else "",
        mode=known.mode if known is not None else Mode.XA,
        inline=node is None,
        args_json=args_json,
        undoable=known is None or known.mode is not Mode.SAGA or known.cancel is not None,
    )


def _placed(known: Participant, args: Mapping[str, Any]) -> Enlisted:
    """One whose place follows from its arguments. It lives here, as its stores do."""
    assert known.place is not None
    place = known.place(args)
    _require_usable(known.name, place.using, place.mode)
    name = named(known.name, place.subject)
    return Enlisted(
        participant=name,
        node=conf.current().node,
        using=place.using,
        mode=place.mode,
        inline=True,
        args_json=json_arguments(
            place.args,
            what=f"participant {name!r}",
            bytes_max=conf.current().transactions.arguments_bytes_max,
        ),
    )


def _require_usable(name: str, using: str, mode: Mode) -> None:
    """Its database is there and can do what its mode needs."""
    if using not in connections:
        raise InvalidArgument(unknown_message("database", using, connections), name=name)
    vendor = connections[using].vendor
    if vendor not in VENDORS[mode]:
        raise InvalidArgument(
            f"participant {name!r} is mode {mode.value!r} on {using!r}, a {vendor} database; "
            f"that mode works on {' and '.join(VENDORS[mode])}.",
            name=name,
            store=using,
        )


def step(
    part: Enlisted, order: Order | None, after: Iterable[Step] | None, *, pivot: bool
) -> tuple[int, ...]:
    """What a step comes after, by number. `order`: that of a saga, None elsewhere.

    Raises InvalidArgument where it may not stand.
    """
    if order is None:
        if after is not None or pivot:
            raise InvalidArgument(
                'after and pivot order the steps of a saga; pass protocol="saga".',
                name=part.participant,
            )
        numbers: tuple[int, ...] = ()
    else:
        numbers = order.check(after, pivot=pivot)
    behind = order is not None and (pivot or order.is_behind(numbers))
    if not part.undoable and not behind:
        raise InvalidArgument(
            f"participant {part.participant!r} has no compensate: it can only be the pivot of a "
            "saga, or come after it.",
            name=part.participant,
        )
    return numbers


def branches(
    parts: Sequence[Enlisted],
    *,
    coordinator: str,
    ranks: Sequence[Rank] | None = None,
    whole: bool = False,
) -> tuple[NewBranch, ...]:
    """Number the branches from 1 and give each its form. `coordinator` is its tables' alias.

    Args:
        ranks: those of a saga's branches, whose forms follow from their order.
        whole: every branch goes through all phases; none decides by its own commit.
    """
    if ranks is None:
        forms = [Form.PREPARE] * len(parts) if whole else _forms(parts, coordinator)
        ranks = [Rank((), form) for form in forms]
    return tuple(
        NewBranch(
            seq=index + 1,
            participant=part.participant,
            node=part.node,
            using=part.using,
            mode=part.mode,
            form=rank.form,
            inline=part.inline,
            args=json.loads(part.args_json),
            after=rank.after,
        )
        for index, (part, rank) in enumerate(zip(parts, ranks, strict=True))
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
