"""`python -m bench [PART ...]`: measure side by side and print. Never fails for being slow."""

import argparse
import json
import sys

from bench import locks, transactions
from config.servers import ServerError

PARTS = {"transactions": transactions.measure, "locks": locks.measure}


def main() -> int:
    """Entry point; the exit status."""
    arguments = _arguments()
    try:
        for name in arguments.parts or PARTS:
            report = PARTS[name](seconds=arguments.seconds, broker=arguments.broker)
            print(json.dumps(report.as_json(), indent=2) if arguments.json else report.as_text())
    except KeyboardInterrupt:
        return 130
    except ServerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--seconds", type=float, default=80, help="bound of each table (80)")
    parser.add_argument("--broker", choices=("redis", "rabbitmq"), default="redis")
    parser.add_argument("--json", action="store_true", help="print data instead of tables")
    arguments = parser.parse_args()
    for part in arguments.parts:
        if part not in PARTS:
            parser.error(f"unknown part {part!r}; there is {', '.join(PARTS)}")
    if arguments.seconds <= 0:
        parser.error("--seconds must be above 0")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
