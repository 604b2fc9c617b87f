"""``manage.py concord resolve``: what is in doubt, and an operator's word on it."""

import getpass
import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError

from coordination.exceptions import CoordinationError
from coordination.transactions import operations, orphans
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
    if gid is None:
        return {"in_doubt": in_doubt()}
    if options["retry"]:
        count = operations.retry_now([gid], actor=actor, reason=options["reason"])
        return {"gid": gid, "retried": count}
    if options["outcome"] is None:
        raise CommandError("say what to do with it: --commit, --abort or --retry")
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


def _as_text(answer: dict[str, Any]) -> str:
    if "in_doubt" not in answer:
        return "\n".join(f"{key}: {value}" for key, value in answer.items())
    if not answer["in_doubt"]:
        return "Nothing is in doubt."
    return "\n".join(
        f"{each['branch']}  in {each['database']}  prepared {each['prepared_s']:g} s ago  "
        + (each["outcome"] or ("undecided" if each["row"] else "no row: --orphan ends it"))
        for each in answer["in_doubt"]
    )
