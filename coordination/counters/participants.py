"""`concord.counter.add`: an addition as a branch of a transaction.

In PostgreSQL it is part of the prepared branch. Elsewhere prepare holds room for it, so that no
bound can be in the way of the commit; the commit adds it, and an abort lets go of it.
"""

from collections.abc import Mapping
from typing import Any

from coordination import conf, registry
from coordination.connections.database import ConnectionLost
from coordination.counters.api import counter
from coordination.counters.arguments import integer
from coordination.counters.holding import CounterHolds, exceeded
from coordination.counters.stores import counter_store
from coordination.counters.stores.holds import counter_holds
from coordination.counters.types import Change, Ending, Reading, Rules, Verb
from coordination.exceptions import BoundExceeded, InvalidArgument, StoreUnavailable
from coordination.failpoints import hit
from coordination.kernel.nearest import unknown_message
from coordination.kernel.settings import DATABASE
from coordination.transactions.branches.holds import (
    remaining_ms,
    require_applied,
    require_cancelled,
    require_held,
)
from coordination.transactions.context import Context
from coordination.transactions.participants import Participant, Place, register
from coordination.transactions.types import Mode

NAME = "concord.counter.add"
OPTIONS = ("counter", "amount", "using", "initial", "minimum", "maximum", "shards")


def place(args: Mapping[str, Any]) -> Place:
    """Where the addition is made, with its rules as they are now; nothing is sent.

    Raises InvalidName, InvalidArgument, NotSupportedByStore.
    """
    for option in args:
        if option not in OPTIONS:
            raise InvalidArgument(unknown_message("option", option, OPTIONS), name=NAME)
    if "counter" not in args:
        raise InvalidArgument(f"participant {NAME!r} needs the name of a counter.", name=NAME)
    options = {word: args[word] for word in args if word not in ("counter", "amount")}
    found = counter(args["counter"], **options)
    amount = integer(args.get("amount", 1), what="amount", name=found.name)
    local = _is_local(found.store)
    return Place(
        using=registry.settings_of(found.store).using if local else _coordinator(),
        mode=Mode.XA if counter_holds(found.store) is None else Mode.TCC,
        subject=f"{found.name}@{found.store}",
        args={"store": found.store, "rules": [*found.rules], "amount": amount},
    )


def reserve(ctx: Context, store: str, rules: list[Any], amount: int) -> None:
    """Add within the branch, or hold room. Votes no where a bound is in the way."""
    declared, holds = Rules(*rules), counter_holds(store)
    if holds is None:
        _add(ctx, store, declared, amount)
        return
    try:
        held = holds.hold(
            declared, amount, branch=ctx.branch, remaining_ms=lambda: remaining_ms(ctx)
        )
    except BoundExceeded as error:
        ctx.vote_no(str(error))
    hit("effect.held")
    require_held(ctx, held)


def confirm(ctx: Context, store: str, rules: list[Any], amount: int) -> None:
    """Add what was held."""
    declared = Rules(*rules)
    state = _holds(store).apply(declared, amount, branch=ctx.branch)
    hit("effect.applied")
    require_applied(state, what=f"counter {declared.name!r} on {store!r}")


def cancel(ctx: Context, store: str, rules: list[Any], amount: int) -> None:
    """Let go of what was held."""
    declared = Rules(*rules)
    state = _holds(store).cancel(declared, branch=ctx.branch)
    hit("effect.cancelled")
    require_cancelled(state, what=f"counter {declared.name!r} on {store!r}")


def ended(ctx: Context, store: str, rules: list[Any], amount: int) -> None:
    """The barrier remembers it now."""
    _holds(store).forget(Rules(*rules), branch=ctx.branch)


def _add(ctx: Context, store: str, rules: Rules, amount: int) -> None:
    """In the branch's own transaction, which keeps the row locked: its witness makes it once."""
    change = Change(Verb.ADD, ctx.branch, amount)
    try:
        answer = counter_store(store).cell(rules).change(change)
    except StoreUnavailable as error:
        if isinstance(error.__cause__, ConnectionLost):
            raise
        ctx.vote_no(str(error))
    if answer.ending is Ending.EXCEEDED:
        stands = Reading(answer.value, answer.version)
        ctx.vote_no(str(exceeded(rules, amount, stands, store=store)))


def _holds(store: str) -> CounterHolds:
    holds = counter_holds(store)
    if holds is None:
        raise InvalidArgument(f"Store {store!r} had holds when this transaction began.")
    return holds


def _is_local(store: str) -> bool:
    """Whether its barrier, or its witness, is in the store's own database."""
    return registry.settings_of(store).backend == DATABASE


def _coordinator() -> str:
    return conf.current().transactions.using


register(
    Participant(
        name=NAME,
        using="",
        mode=Mode.TCC,
        body=reserve,
        confirm=confirm,
        cancel=cancel,
        place=place,
        elsewhere=True,
        ended=ended,
    )
)
