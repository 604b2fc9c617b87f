"""The process that owns a run's servers and programs, and ends them with whoever asked for it.

``python -m config.servers.keeper OWNER`` is a child of the process OWNER, without threads, in a
session of its own. Requests come as JSON lines on standard input, each answered by one line on
standard output. It stops everything, leaves nothing behind and ends when its input ends, on
SIGTERM, or when OWNER is no longer its parent, however OWNER ended. With OWNER 0 (`make services`)
only SIGTERM ends it. If the keeper itself is killed, the kernel kills its children.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from config.servers.children import Children
from config.servers.errors import ServerError
from config.servers.folders import RunFolder
from config.servers.kinds import KINDS, Server
from config.servers.processes import Program, adopt_orphans

_TURN_S = 0.25
_START_S = 90.0
_INPUT = 0


class Keeper:
    """Answers requests; between them restarts what died and watches its owner."""

    def __init__(self, owner: int) -> None:
        self._owner = owner
        self._told_to_stop = False
        self._input = b""
        self._run = RunFolder()
        self._children = Children()
        self._servers: dict[str, tuple[Server, tuple[Program, ...]]] = {}
        self._incomplete: set[str] = set()

    def stop_soon(self, number: int, frame: FrameType | None) -> None:
        """Signal handler."""
        self._told_to_stop = True

    def serve(self) -> None:
        """Until told to stop, or the owner is gone."""
        self._children.watch(_INPUT)
        try:
            while not self._over():
                if self._children.tend(_TURN_S):
                    for request in self._requests():
                        self._answer(request)
        finally:
            # A signal that comes now must not cut the cleaning short.
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            self._children.end(gently=self._owner_lives())
            self._run.remove()

    def _over(self) -> bool:
        return self._told_to_stop or not self._owner_lives()

    def _owner_lives(self) -> bool:
        return self._owner in (0, os.getppid())

    def _requests(self) -> list[dict[str, Any]]:
        got = os.read(_INPUT, 65_536)
        if not got:
            self._children.unwatch(_INPUT)
            self._told_to_stop = self._told_to_stop or self._owner != 0
        *lines, self._input = (self._input + got).split(b"\n")
        return [json.loads(line) for line in lines]

    def _answer(self, request: dict[str, Any]) -> None:
        try:
            answer = {"ok": True} | self._do(**request)
        except ServerError as error:
            answer = {"ok": False, "error": str(error)}
        os.write(1, json.dumps(answer).encode() + b"\n")

    def _do(self, action: str, **arguments: Any) -> dict[str, Any]:
        match action:
            case "start":
                for name in arguments["names"]:
                    self._launch(name)
                for name in arguments["names"]:
                    self._await(name)
                return {"environment": self._environment()}
            case "halt":
                self._children.stop(arguments["name"])
            case "stop":
                self._stop(arguments["name"])
            case "await":
                self._await(arguments["name"])
            case "run":
                self._children.start(_program(arguments))
            case "pids":
                return {"pids": self._children.pids()}
        return {}

    def _launch(self, name: str) -> None:
        if name not in self._servers:
            server = KINDS[name](self._run)
            self._servers[name] = server, server.install()
            self._incomplete.add(name)
        for program in self._servers[name][1]:
            self._children.start(program)

    def _await(self, name: str) -> None:
        """Until the server answers, whether it was just started or is being restarted."""
        server, programs = self._servers[name]
        deadline = time.monotonic() + _START_S
        while not server.ready():
            self._children.tend(0.05)
            if self._over():
                raise ServerError("stopped while starting")
            if time.monotonic() > deadline or any(
                self._children.failed(program.name) for program in programs
            ):
                raise ServerError(f"{name} does not start:\n{_tail(programs[-1].log)}")
        if name in self._incomplete:
            server.complete()
            self._incomplete.discard(name)

    def _stop(self, name: str) -> None:
        for program in reversed(self._servers[name][1]):
            self._children.stop(program.name)

    def _environment(self) -> dict[str, str]:
        return {
            variable: url
            for server, _ in self._servers.values()
            for variable, url in server.environment().items()
        }


def _program(fields: dict[str, Any]) -> Program:
    return Program(
        name=fields["name"],
        arguments=tuple(fields["arguments"]),
        environment=fields["environment"],
        folder=Path(fields["folder"]),
    )


def _tail(log: Path | None) -> str:
    try:
        return "" if log is None else log.read_text(errors="replace")[-2_000:]
    except OSError:
        return ""


def main() -> None:
    """Entry point."""
    adopt_orphans()
    keeper = Keeper(owner=int(sys.argv[1]))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, keeper.stop_soon)
    keeper.serve()


if __name__ == "__main__":
    main()
