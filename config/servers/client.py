"""The servers of one command, as the command sees them."""

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from config.servers.errors import ServerError
from config.servers.keeper_process import KeeperProcess
from config.servers.kinds import VARIABLES

_PROJECT = Path(__file__).resolve().parents[2]


class Servers:
    """Private servers that live as long as the ``with`` block, or as this process if it is killed.

    ``names`` are keys of ``VARIABLES``. One whose variable the environment
    sets is taken from there and never started. Safe to use from several threads.

    Raises:
        ServerError: a server is not installed or does not start; the message says what to do.
    """

    def __init__(self, *names: str) -> None:
        self._names = names
        self._keeper: KeeperProcess | None = None
        self._lock = threading.Lock()
        self._owner = os.getpid()
        #: The URL of every server asked for, by its variable.
        self.environment: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            self.start(*self._names)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self, *names: str) -> dict[str, str]:
        """Start the servers that the environment does not name; returns all URLs so far."""
        for name in names:
            if VARIABLES[name] in os.environ:
                self.environment |= _given(VARIABLES[name])
        private = [name for name in names if VARIABLES[name] not in os.environ]
        if private:
            self.environment |= self._ask("start", names=private)["environment"]
        return self.environment

    def restart(self, name: str) -> None:
        """Stop it in order and start it again, on the same port and data."""
        self.stop(name)
        self._ask("start", names=[name])

    def stop(self, name: str) -> None:
        """Stop it in order; it stays down until :meth:`start`."""
        self._ask("stop", name=name)

    def await_ready(self, name: str) -> None:
        """Wait until it answers: a server that was killed is started again by itself."""
        self._ask("await", name=name)

    def run(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        """Keep another program running, its output shown after its name."""
        self._ask(
            "run",
            name=name,
            arguments=list(arguments),
            environment=dict(os.environ if environment is None else environment),
            folder=str(_PROJECT),
        )

    def halt(self, name: str) -> None:
        """Stop a program started by :meth:`run`."""
        self._ask("halt", name=name)

    def pids(self) -> dict[str, int]:
        """Server or program name → the process that runs it now."""
        pids: dict[str, int] = self._ask("pids")["pids"] if self._keeper else {}
        return pids

    def pid(self, name: str) -> int:
        """The process of one server: PostgreSQL's postmaster, RabbitMQ's node.

        Raises:
            ServerError: it is not ours, or is down at the moment.
        """
        try:
            return self.pids()[name]
        except KeyError:
            raise ServerError(f"{name} is not running as a private server") from None

    def close(self) -> None:
        """Stop everything; returns when the last process is gone."""
        keeper, self._keeper = self._keeper, None
        if keeper is None or self._owner != os.getpid():
            return
        keeper.end()

    def _ask(self, action: str, **arguments: Any) -> dict[str, Any]:
        with self._lock:
            if self._keeper is None:
                self._keeper = KeeperProcess(os.getpid())
            return self._keeper.ask(action, **arguments)


def _given(variable: str) -> dict[str, str]:
    """The variables that say where a server already is."""
    names = (variable, "BANK_A_URL", "BANK_B_URL") if variable == "DATABASE_URL" else (variable,)
    return {name: os.environ[name] for name in names if name in os.environ}
