"""A Redis of one test's own, to be frozen, killed and restarted, and a proxy that cuts replies."""

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pytest
import redis


class OwnRedis:
    """One private server on a loopback port, without persistence."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self._options = options
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self.process = subprocess.Popen(
            [*command, "--dir", str(self.folder), *self._options],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        log: list[str] = []
        for line in self.process.stdout:
            log.append(line)
            if "eady to accept connections" in line:
                return
        raise RuntimeError("redis-server did not start: " + "".join(log))

    def freeze(self) -> None:
        """Stop it from answering; its sockets stay open."""
        os.kill(self.process.pid, signal.SIGSTOP)
        # It runs on until one of its threads has handled the signal.
        while (
            Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T"
        ):
            threading.Event().wait(0.001)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.communicate()

    def client(self) -> redis.Redis:
        """A plain client, for looking from outside."""
        return redis.Redis.from_url(self.url, decode_responses=True)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """A Redis that this test may harm."""
    server = OwnRedis(tmp_path)
    try:
        yield server
    finally:
        server.kill()


class CuttingProxy:
    """Forwards one connection to a server; loses the reply to the n-th request, then hangs up."""

    def __init__(self, port: int, *, cut_after: int) -> None:
        self._target = ("127.0.0.1", port)
        self._cut_after = cut_after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "CuttingProxy":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()
        self._thread.join(timeout=10)

    def _serve(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        with client, socket.create_connection(self._target) as server:
            for _ in range(self._cut_after):
                server.sendall(client.recv(65_536))
                client.sendall(server.recv(65_536))
            server.sendall(client.recv(65_536))
            # The server's answer proves that it ran the command; the client never sees it.
            assert server.recv(65_536)
