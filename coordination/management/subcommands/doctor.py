"""``manage.py concord doctor``: reach every server and say what is good and what is bad."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.checks import ERROR, CheckMessage, run_checks
from django.core.exceptions import ImproperlyConfigured

from coordination import conf
from coordination.checks import TAG
from coordination.probes import Probe
from coordination.probes.all_servers import ask_all

help = "Reach each store and database and judge the settings; exit 1 when something is bad."  # noqa: A001
DEADLINE_MS = 8_000


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="Print one JSON document.")


def handle(options: Mapping[str, Any]) -> None:
    """Print the findings; exit 1 when a server is silent or a check reports an error."""
    messages = list(run_checks(tags=[TAG]))
    probes = _probes()
    messages += [message for probe in probes for message in probe.messages if probe.answered]
    good = all(probe.answered for probe in probes) and not any(map(_is_error, messages))
    report = _as_json if options["json"] else _as_text
    sys.stdout.write(report(good, probes, messages))
    if not good:
        sys.exit(1)


def _probes() -> list[Probe]:
    try:
        conf.current()
    except ImproperlyConfigured:
        return []  # E001 already says so, and which servers to ask is unknown
    return ask_all(deadline_ms=DEADLINE_MS)


def _is_error(message: CheckMessage) -> bool:
    return message.level >= ERROR


def _as_text(good: bool, probes: Sequence[Probe], messages: Sequence[CheckMessage]) -> str:
    width = max((len(probe.name) for probe in probes), default=0)
    lines = [
        f"{'good' if probe.answered else 'BAD '}  {probe.name:<{width}}  {probe.detail}"
        for probe in probes
    ]
    for message in messages:
        lines += [f"{'BAD ' if _is_error(message) else 'warn'}  {message.id}: {message.msg}"]
        lines += [f"      {message.hint}"] if message.hint else []
    lines.append("All good." if good else "Something is bad.")
    return "\n".join(lines) + "\n"


def _as_json(good: bool, probes: Sequence[Probe], messages: Sequence[CheckMessage]) -> str:
    document = {
        "good": good,
        "servers": [
            {"name": probe.name, "answered": probe.answered, "detail": probe.detail}
            for probe in probes
        ],
        "messages": [
            {
                "id": message.id,
                "level": "error" if _is_error(message) else "warning",
                "message": message.msg,
                "hint": message.hint or "",
            }
            for message in messages
        ],
    }
    return json.dumps(document, indent=2) + "\n"
