"""Run schedules of a protocol in virtual time with every kind of fault; exit 1 if one breaks it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Mapping
from typing import Any

from coordination.verification.simulation.campaign import Campaign, campaign
from coordination.verification.simulation.faults import FaultKind
from coordination.verification.simulation.protocols import ADAPTERS, adapter
from coordination.verification.simulation.run import Adapter, Run, run
from coordination.verification.simulation.shrinking import shrunk

BROKEN, UNPROVEN = 1, 2
PLANNED = [kind for kind in FaultKind if kind is not FaultKind.MESSAGE_REORDERED]
KINDS = {kind.value.replace(" ", "-"): kind for kind in PLANNED}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `manage.py concord simulate`."""
    parser.add_argument("--protocol", choices=sorted(ADAPTERS), default="2pc")
    parser.add_argument("--schedules", type=_positive, default=10_000, help="how many; 10000")
    parser.add_argument("--seed", type=int, default=1, help="of the first schedule; 1")
    parser.add_argument(
        "--only",
        action="append",
        choices=sorted(KINDS),
        help="a kind of fault; may be given several times, and nothing else fails then",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--trace", action="store_true", help="print the one schedule of the seed")
    which.add_argument(
        "--shrink", action="store_true", help="print the first violation with its fewest faults"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def handle(options: Mapping[str, Any]) -> int:
    """Returns 0 when every promise held, 1 when one broke, 2 when not every fault occurred."""
    kinds = tuple([KINDS[name] for name in options["only"]]) if options["only"] else None
    chosen = adapter(options["protocol"], kinds=kinds)
    if options["trace"]:
        return _one(run(chosen, options["seed"], tracing=True), as_json=options["json"])
    begun = time.perf_counter()
    found = campaign(
        chosen,
        schedules=options["schedules"],
        seed=options["seed"],
        until_broken=options["shrink"],
    )
    rate = found.schedules / (time.perf_counter() - begun)
    _print(chosen, found, rate=rate, options=options)
    if found.broken:
        return BROKEN
    return 0 if found.counts else UNPROVEN


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a number of schedules: at least 1.")
    return number


def _one(done: Run, *, as_json: bool) -> int:
    sys.stdout.write(f"{json.dumps(_as_json(done), indent=2) if as_json else done}\n")
    return BROKEN if done.broken else 0


def _print(chosen: Adapter, found: Campaign, *, rate: float, options: Mapping[str, Any]) -> None:
    smallest = None
    if options["shrink"] and found.violations:
        smallest = shrunk(chosen, found.violations[0])
    if not options["json"]:
        sys.stdout.write(f"{found}\n  {rate:,.0f} schedules/s\n")
        if smallest is not None:
            sys.stdout.write(f"{smallest}\n")
        return
    told = {
        "protocol": found.protocol,
        "seed": found.seed,
        "schedules": found.schedules,
        "schedules_per_s": round(rate),
        "events": found.events,
        "violations": found.broken,
        "faults": {kind.value: count for kind, count in sorted(found.struck.items())},
        "never_occurred": [kind.value for kind in found.missing],
        "broken": [{"seed": each.seed, "promise": each.broken} for each in found.violations],
        "counterexample": None if smallest is None else _as_json(smallest),
    }
    sys.stdout.write(json.dumps(told, indent=2) + "\n")


def _as_json(done: Run) -> dict[str, Any]:
    return {
        "protocol": done.protocol,
        "seed": done.seed,
        "broken": done.broken,
        "ended_us": done.ended_us,
        "digest": done.digest,
        "faults": [dataclasses.asdict(fault) for fault in done.faults],
        "trace": [dataclasses.asdict(event) for event in done.trace],
    }
