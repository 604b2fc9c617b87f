"""``manage.py concord acceptors``: show, found and heal the acceptors of the registers' quorum."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError

from coordination.consensus import admitting, api
from coordination.consensus.founding import found
from coordination.consensus.naming import PAXOS
from coordination.consensus.stores import quorum
from coordination.exceptions import CoordinationError

help = "Show, found and heal the acceptors that registers are decided by."  # noqa: A001
DEADLINE_MS = 10_000


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--found", action="store_true", help="Let them begin; once, all must answer.")
    what.add_argument(
        "--retire", metavar="STORE", help="Let one count no more, e.g. before it is restored."
    )
    what.add_argument(
        "--admit", metavar="STORE", help="Let one that lost its memory begin anew, without it."
    )
    what.add_argument(
        "--forget-before",
        type=int,
        metavar="PERIOD",
        help="Forget the registers of lower periods; all that they decided must have ended.",
    )
    parser.add_argument("--json", action="store_true", help="Print one JSON document.")


def handle(options: Mapping[str, Any]) -> int:
    """Do it, then print how each stands; the status is 1 when fewer than a majority count."""
    try:
        registers = quorum()
        if options["found"]:
            found(registers, deadline_ms=DEADLINE_MS)
        elif alias := options["retire"]:
            admitting.retire(registers, alias, deadline_ms=DEADLINE_MS)
        elif alias := options["admit"]:
            admitting.admit(registers, alias, deadline_ms=DEADLINE_MS)
        elif (period := options["forget_before"]) is not None:
            api.forget_before(period, using=PAXOS)
        told = admitting.describe(registers, deadline_ms=DEADLINE_MS)
    except CoordinationError as error:
        raise CommandError(str(error)) from error
    counting = sum(counts for _, counts, _ in told)
    if options["json"]:
        acceptors = [
            {"alias": alias, "counts": counts, "detail": detail} for alias, counts, detail in told
        ]
        sys.stdout.write(json.dumps({"counting": counting, "acceptors": acceptors}) + "\n")
    else:
        for alias, counts, detail in told:
            sys.stdout.write(f"{'good' if counts else 'BAD '}  {alias}  {detail}\n")
    return 0 if counting > len(told) // 2 else 1
