"""Servers without an owner, remembered in ``var/`` between `make services` and its stop."""

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from config.private import private_folder, write_private
from config.servers import binaries
from config.servers.errors import ServerError
from config.servers.keeper_process import KeeperProcess
from config.servers.kinds import VARIABLES
from config.servers.processes import send

_STOP_S = 40.0
_NAMES = ("postgresql", "redis", "rabbitmq", "zookeeper")
_OPTIONAL = {"rabbitmq": binaries.rabbitmq, "zookeeper": binaries.zookeeper}


def start() -> dict[str, str]:
    """Start what is not running and not named by the environment; every URL, by variable.

    RabbitMQ and ZooKeeper are left out where they are not installed.
    """
    given = {v: os.environ[v] for v in VARIABLES.values() if v in os.environ}
    with _state_file() as path:
        state = _running(path)
        if state is None:
            names = [name for name in _NAMES if VARIABLES[name] not in given and _have(name)]
            state = _launch(names) if names else {"environment": {}}
            if names:
                write_private(path, json.dumps(state))
    environment: dict[str, str] = state["environment"]
    return environment | given


def stop() -> bool:
    """Stop them, and wait until the last process is gone; False when none ran."""
    with _state_file() as path:
        state = _running(path)
        path.unlink(missing_ok=True)
        if state is None:
            return False
        send(state["pid"], signal.SIGTERM)
        deadline = time.monotonic() + _STOP_S
        while _is_keeper(state["pid"]):
            if time.monotonic() > deadline:
                raise ServerError(f"process {state['pid']} does not end")
            time.sleep(0.05)
        return True


def _launch(names: list[str]) -> dict[str, Any]:
    with (private_folder() / "services.log").open("wb") as log:
        keeper = KeeperProcess(0, log=log)
    try:
        answer = keeper.ask("start", names=names)
    except BaseException:
        send(keeper.pid, signal.SIGTERM)
        raise
    keeper.release()
    return {"pid": keeper.pid, "environment": answer["environment"]}


def _have(name: str) -> bool:
    if name not in _OPTIONAL:
        return True
    with suppress(ServerError):
        return bool(_OPTIONAL[name]())
    return False


@contextmanager
def _state_file() -> Iterator[Path]:
    """Its path, with nobody else starting or stopping meanwhile."""
    folder = private_folder()
    with (folder / "services.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder / "services.json"


def _running(path: Path) -> dict[str, Any] | None:
    try:
        state: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return state if _is_keeper(state["pid"]) else None


def _is_keeper(pid: int) -> bool:
    """Whether the number still belongs to a keeper of ours, not to a later process."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"config.servers.keeper" in arguments
