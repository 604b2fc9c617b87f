"""``manage.py concord resolve``: what is in doubt, and an operator's word on it."""

import getpass
import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.management.base import CommandError

from coordination.exceptions import CoordinationError
from coordination.transactions import kept, operations, orphans, situations
from coordination.transactions.coordinator import store
from coordination.transactions.types import Outcome

help = "List branches in doubt, or decide one transaction through its register."  # noqa: A001


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("gid", nargs="?", help="The transaction; none lists what is in doubt.")
    wish = parser.add_mutually_exclusive_group()
    wish.add_argument("--commit", dest="outcome", action="store_const", const=Outcome.COMMITTED)
    wish.add_argument("--abort", dest="outcome", action="store_const", const=Outcome.ABORTED)
    wish.add_argument("--retry", action="store_true", help="Only send its messages again, now.")
    wish.add_argument("--retry-all", action="store_true", help="After an outage: all that waits.")
    wish.add_argument("--acknowledge", action="store_true", help="A heuristic is put right.")
    wish.add_argument("--explain", action="store_true", help="Only tell what it waits for.")
    parser.add_argument("--orphan", action="store_true", help="It has no row: end its branches.")
    parser.add_argument("--reason", default="", help="Kept in the history; ten characters or more.")
    parser.add_argument("--json", action="store_true", help="Print one JSON document.")


def handle(options: Mapping[str, Any]) -> None:
    """List, retry or resolve. Raises CommandError for a wish that cannot be granted."""
    try:
        answer = _answer(options)
    except CoordinationError as error:
        raise CommandError(str(error)) from error
    sys.stdout.write(json.dumps(answer, indent=2) if options["json"] else _as_text(answer))
    sys.stdout.write("\n")


def _answer(options: Mapping[str, Any]) -> dict[str, Any]:
    gid, actor = options["gid"], getpass.getuser()
    if options["retry_all"]:
        count = operations.retry_all_now(actor=actor, reason=options["reason"])
        return {"retried": count}
    if gid is None:
        held, unseen = kept.holds()
        return {"in_doubt": in_doubt(), "held": holds(held), "unseen": [*map(list, unseen)]}
    if options["retry"]:
        count = operations.retry_now([gid], actor=actor, reason=options["reason"])
        return {"gid": gid, "retried": count}
    if options["explain"]:
        told = situations.explained(gid)
        return {"gid": gid, "waits": told.sentence, "holds_up": [r.sentence for r in told.radius]}
    if options["acknowledge"]:
        count = operations.acknowledge(gid, actor=actor, reason=options["reason"])
        return {"gid": gid, "acknowledged": count}
    if options["outcome"] is None:
        wishes = "--commit, --abort, --retry, --acknowledge or --explain"
        raise CommandError(f"say what to do with it: {wishes}")
    if options["orphan"]:
        ended = operations.resolve_orphan(
            gid, outcome=options["outcome"], actor=actor, reason=options["reason"]
        )
        return {"gid": gid, "outcome": options["outcome"], "ended": ended}
    found = operations.resolve(
        gid, outcome=options["outcome"], actor=actor, reason=options["reason"]
    )
    return {"gid": gid, "outcome": found.outcome, "changed": found.changed}


def in_doubt() -> list[dict[str, Any]]:
    """Every prepared branch of this node in every database, with what its register says."""
    found = [branch for using in orphans.aliases() for branch in orphans.prepared(using)]
    rows = {one.gid: one for one in store().snapshots({each.gid for each in found})}
    return [
        {
            "branch": each.branch_gid,
            "gid": each.gid,
            "database": each.using,
            "prepared_s": round(each.age_s, 1),
            "outcome": rows[each.gid].outcome if each.gid in rows else None,
            "row": each.gid in rows,
        }
        for each in found
    ]


def holds(held: Sequence[kept.Held]) -> list[dict[str, Any]]:
    """Room that stores hold for transactions of this node, with what their registers say."""
    rows = {one.gid: one for one in store().snapshots({each.gid for each in held})}
    return [
        {
            "branch": each.branch,
            "gid": each.gid,
            "kind": each.kind,
            "name": each.name,
            "store": each.store,
            "amount": each.amount,
            "outcome": rows[each.gid].outcome if each.gid in rows else None,
            "row": each.gid in rows,
        }
        for each in held
    ]


def _as_text(answer: dict[str, Any]) -> str:
    if "in_doubt" not in answer:
        return "\n".join(f"{key}: {value}" for key, value in answer.items())
    lines = [
        f"{each['branch']}  in {each['database']}  prepared {each['prepared_s']:g} s ago  "
        + _standing(each)
        for each in answer["in_doubt"]
    ]
    lines += [
        f"{each['branch']}  holds {each['amount']} of {each['kind']} {each['name']} on "
        f"{each['store']}  {_standing(each)}"
        for each in answer["held"]
    ]
    lines += [f"store {alias} did not answer: {reason}" for alias, reason in answer["unseen"]]
    return "\n".join(lines) or "Nothing is in doubt."


def _standing(each: Mapping[str, Any]) -> str:
    return str(each["outcome"] or ("undecided" if each["row"] else "no row: --orphan ends it"))
