"""A running keeper, spoken to over its standard input and output."""

import json
import subprocess
import sys
from pathlib import Path
from typing import IO, Any, cast

from config.servers.errors import ServerError

_PROJECT = Path(__file__).resolve().parents[2]
_END_S = 30.0


class KeeperProcess:
    """A keeper whose life ends with ``owner``, this process; with 0 only by SIGTERM.

    ``log``: where it writes its own lines and its programs'; by default our standard error.
    """

    def __init__(self, owner: int, log: IO[bytes] | None = None) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "config.servers.keeper", str(owner)],
            cwd=_PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            # A Ctrl-C in the terminal is for us; the keeper then ends in its own order.
            start_new_session=True,
        )
        self._requests = cast("IO[bytes]", self._process.stdin)
        self._answers = cast("IO[bytes]", self._process.stdout)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def ask(self, action: str, **arguments: Any) -> dict[str, Any]:
        """One request and its answer.

        Raises:
            ServerError: the request failed, or the keeper is gone.
        """
        request = {"action": action} | arguments
        try:
            self._requests.write(json.dumps(request).encode() + b"\n")
            self._requests.flush()
            line = self._answers.readline()
        except OSError:
            line = b""
        if not line:
            raise ServerError("the keeper of the servers has ended")
        answer: dict[str, Any] = json.loads(line)
        if not answer.pop("ok"):
            raise ServerError(answer["error"])
        return answer

    def end(self) -> None:
        """Have it stop everything; returns when it is gone."""
        self.release()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def release(self) -> None:
        """Say nothing more to it: a keeper without owner goes on by itself."""
        self._requests.close()
        self._answers.close()
