"""``manage.py concord move``: let names of locks go to another store, their tokens rising."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError

from coordination.exceptions import CoordinationError
from coordination.locks import moving
from coordination.locks.types import Kind

help = "Raise the tokens of a store above another's, and show the route to deploy."  # noqa: A001

TEXT = """\
Every token of store {store!r} is greater than {floor} from now on, and so than all that
{sources} will give within a day.

1. Stop what uses these names, or be sure that it compares tokens: while old and new processes
   run side by side, each has its own store.
2. Deploy this as the first of COORDINATION["ROUTES"] within a day:

       ("{primitive}", "{pattern}", "{store}"),
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("primitive", choices=[kind.value for kind in Kind])
    parser.add_argument("pattern", help="Names to be moved, as in ROUTES: 'ledger:*'.")
    parser.add_argument("--to", required=True, metavar="STORE")
    parser.add_argument(
        "--from",
        dest="sources",
        action="append",
        default=[],
        metavar="STORE",
        help="Where they were; by default every store of ROUTES and DEFAULT.",
    )
    parser.add_argument("--json", action="store_true", help="Print one JSON document.")


def handle(options: Mapping[str, Any]) -> None:
    """Raise the floor and tell the route. Raises CommandError when a store cannot be asked."""
    try:
        raised = moving.raise_floor(options["to"], sources=tuple(options["sources"]))
    except CoordinationError as error:
        raise CommandError(str(error)) from error
    told = {
        "primitive": options["primitive"],
        "pattern": options["pattern"],
        "store": raised.store,
        "floor": raised.floor,
        "sources": ", ".join(raised.sources),
    }
    sys.stdout.write(json.dumps(told) + "\n" if options["json"] else TEXT.format(**told))
