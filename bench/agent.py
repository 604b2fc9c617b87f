"""The other end of `bench.agents`: one process that runs cases when told to."""

import importlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bench.chunks import Case
from config.servers.processes import end_with


def main(parent: int, module: str, *arguments: str) -> None:
    """Answer orders until the standard input ends."""
    end_with(parent)
    # Whatever prints, prints elsewhere: the answers have the standard output to themselves.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    cases: dict[str, Case] = {}
    for line in sys.stdin:
        try:
            answer = {"value": _obey((module, *arguments), cases, json.loads(line))}
        except Exception as error:  # noqa: BLE001 - the bench says what failed and goes on
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _obey(made_by: Sequence[str], cases: dict[str, Case], order: dict[str, Any]) -> Any:
    match order["verb"]:
        case "cases":
            cases.update({each.name: each for each in _make(*made_by)})
            return [(each.name, each.chunk_s) for each in cases.values()]
        case "run":
            return asdict(cases[order["case"]].run(order["seconds"]))
        case "repeat":
            return cases[order["case"]].repeat(order["operations"])
    raise ValueError(f"unknown order {order!r}")


def _make(module: str, *arguments: str) -> Sequence[Case]:
    import django

    django.setup()
    made: Sequence[Case] = importlib.import_module(module).cases(*arguments)
    return made


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
