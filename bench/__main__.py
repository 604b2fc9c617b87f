"""`python -m bench [PART ...]`: measure side by side and print. Never fails for being slow."""

import argparse
import json
import subprocess
import sys

from bench import counters, locks, queues, transactions
from config.servers import ServerError

PARTS = {
    "transactions": transactions.measure,
    "locks": locks.measure,
    "counters": counters.measure,
    "queues": queues.measure,
}


def main() -> int:
    """Entry point; the exit status."""
    arguments = _arguments()
    try:
        parts = arguments.parts or list(PARTS)
        if len(parts) > 1:
            return max(_apart(name, arguments) for name in parts)
        report = PARTS[parts[0]](seconds=arguments.seconds, broker=arguments.broker)
        print(json.dumps(report.as_json(), indent=2) if arguments.json else report.as_text())
    except KeyboardInterrupt:
        return 130
    except ServerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _apart(name: str, arguments: argparse.Namespace) -> int:
    """Measure one part in a process of its own: Django knows the servers of its first part only."""
    options = ["--seconds", str(arguments.seconds), "--broker", arguments.broker]
    if arguments.json:
        options.append("--json")
    return subprocess.run([sys.executable, "-m", "bench", name, *options], check=False).returncode


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; or a,b")
    parser.add_argument("--seconds", type=float, default=80, help="bound of each table (80)")
    parser.add_argument("--broker", choices=("redis", "rabbitmq"), default="redis")
    parser.add_argument("--json", action="store_true", help="print data instead of tables")
    arguments = parser.parse_args()
    arguments.parts = [part for several in arguments.parts for part in several.split(",") if part]
    for part in arguments.parts:
        if part not in PARTS:
            parser.error(f"unknown part {part!r}; there is {', '.join(PARTS)}")
    if arguments.seconds <= 0:
        parser.error("--seconds must be above 0")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
