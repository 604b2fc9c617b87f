"""Cases in processes of their own, so that nobody's background threads disturb the others.

An agent is `python -m bench.agent <parent> <module> …`: it makes the cases of that module's
`cases(…)` and runs what it is told by lines of JSON on its standard input.
"""

import json
import os
import subprocess
import sys
from types import TracebackType
from typing import Any, Self

from bench.chunks import CaseFailed, Chunk


class Agent:
    """One such process, until the block ends."""

    def __init__(self, module: str, *arguments: str, chunk: type[Chunk] = Chunk) -> None:
        """Start it; its cases answer with a `chunk`."""
        self.chunk = chunk
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.agent", str(os.getpid()), module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def cases(self) -> "list[AgentCase]":
        """What it can run. Raises CaseFailed when it cannot start."""
        return [AgentCase(self, name, chunk_s) for name, chunk_s in self.ask("cases")]

    def ask(self, verb: str, **arguments: Any) -> Any:
        """Send one order and wait for its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"verb": verb, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise CaseFailed("its process has ended") from None
        line = self._process.stdout.readline()
        if not line:
            raise CaseFailed("its process has ended")
        answer = json.loads(line)
        if "error" in answer:
            raise CaseFailed(answer["error"])
        return answer["value"]


class AgentCase:
    """One case of an agent."""

    def __init__(self, agent: Agent, name: str, chunk_s: float) -> None:
        self.name = name
        self.chunk_s = chunk_s
        self._agent = agent

    def run(self, seconds: float) -> Chunk:
        value = self._agent.ask("run", case=self.name, seconds=seconds)
        told: dict[str, Any] = {
            field: tuple(each) if isinstance(each, list) else each for field, each in value.items()
        }
        return self._agent.chunk(**told)

    def repeat(self, operations: int) -> int:
        done: int = self._agent.ask("repeat", case=self.name, operations=operations)
        return done
