"""A ZooKeeper of one module's own, to be frozen, killed, emptied; a proxy to lose answers."""

import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pytest
from kazoo.client import KazooClient
from kazoo.protocol.serialization import CloseInstance, Connect

from config.servers import binaries
from tests.stack import wait_until

_COMMIT = 14


class OwnZooKeeper:
    """One private server, or one of an ensemble, on a loopback port."""

    def __init__(self, folder: Path, *, number: int = 1, peers: tuple[str, ...] = ()) -> None:
        self.folder = folder / f"zookeeper-{number}"
        self.port = free_port()
        self.hosts = f"127.0.0.1:{self.port}"
        self._number = number
        self._peers = peers

    def start(self) -> None:
        """Start it on the data that it has, and wait until it serves."""
        self.launch()
        wait_until("ZooKeeper serves", lambda: bool(self.mode()), pause_s=0.02)

    def launch(self) -> None:
        """Start it."""
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        (data / "myid").write_text(str(self._number))
        settings = {
            "tickTime": 500,
            "initLimit": 10,
            "syncLimit": 4,
            "dataDir": data,
            "clientPort": self.port,
            "clientPortAddress": "127.0.0.1",
            "maxClientCnxns": 0,
            "minSessionTimeout": 500,
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "srvr",
        }
        lines = [f"{name}={value}" for name, value in settings.items()]
        (self.folder / "zoo.cfg").write_text("\n".join([*lines, *self._peers]) + "\n")
        java, classes = binaries.zookeeper()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(java, "-Xms32m", "-Xmx128m", "-Xss512k", "-XX:+UseSerialGC"),
                    *("-XX:TieredStopAtLevel=1", "-Dzookeeper.jmx.log4j.disable=true"),
                    *("-Dzookeeper.fastleader.maxNotificationInterval=1000",),
                    *("-cp", classes, "org.apache.zookeeper.server.quorum.QuorumPeerMain"),
                    str(self.folder / "zoo.cfg"),
                ],
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )

    def mode(self) -> str:
        """As it says of itself: standalone, leader, follower; empty when it does not serve."""
        with contextlib.suppress(OSError):
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as asking:
                asking.sendall(b"srvr")
                for line in asking.makefile("r"):
                    if line.startswith("Mode: "):
                        return line[6:].strip()
        return ""

    def freeze(self) -> None:
        """Stop it from answering; its sockets stay open."""
        os.kill(self.process.pid, signal.SIGSTOP)
        # Its threads run on until one of them has had the time to see to the signal.
        wait_until("ZooKeeper is frozen", self._is_frozen, pause_s=0.001)

    def _is_frozen(self) -> bool:
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/stat")
        return all(each.read_text().rpartition(")")[2].split()[0] == "T" for each in threads)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()

    def empty(self) -> None:
        """Lose all that it had."""
        shutil.rmtree(self.folder / "data")

    @contextlib.contextmanager
    def client(self) -> Iterator[KazooClient]:
        """A plain client, for looking from outside."""
        client = KazooClient(self.hosts, timeout=5)
        client.start()
        try:
            yield client
        finally:
            client.stop()
            client.close()

    def end_session(self, session: int, password: bytes) -> None:
        """Close a session over a connection of its own, which it is moved to."""
        connect = Connect(0, 0, 10_000, session, password, False).serialize()
        close = struct.pack("!ii", 1, CloseInstance.type)
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as moved:
            # Both at once, or its owner could have it back in between.
            moved.sendall(
                b"".join(struct.pack("!i", len(each)) + each for each in (connect, close))
            )
            while moved.recv(65_536):
                pass


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def own_zookeeper(
    zookeeper_installed: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OwnZooKeeper]:
    """A ZooKeeper that this module's tests may harm, if they heal it again."""
    server = OwnZooKeeper(tmp_path_factory.mktemp("own"))
    server.start()
    try:
        yield server
    finally:
        server.kill()


class LosingProxy:
    """Forwards connections to a server. When told to, it loses the answer to the next commit."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.hosts = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._losing = threading.Event()
        self.lost = threading.Event()
        """Set once the answer came, so the commit is done, and the connection was cut."""
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> "LosingProxy":
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def lose_next(self) -> None:
        """Lose the answer to the next commit, and cut its connection."""
        self.lost.clear()
        self._losing.set()

    def cut(self) -> None:
        """Cut all connections; new ones are let through."""
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
            except OSError:
                return
            self._pairs.append((client, server))
            commits: set[int] = set()
            for work in (self._ask, self._answer):
                thread = threading.Thread(target=work, args=(client, server, commits), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _ask(self, client: socket.socket, server: socket.socket, commits: set[int]) -> None:
        with client, contextlib.suppress(OSError):
            first = True
            while frame := _frame(client):
                if not first:
                    xid, kind = struct.unpack_from("!ii", frame, 4)
                    if kind == _COMMIT:
                        commits.add(xid)
                first = False
                server.sendall(frame)
            server.shutdown(socket.SHUT_RDWR)

    def _answer(self, client: socket.socket, server: socket.socket, commits: set[int]) -> None:
        with server, contextlib.suppress(OSError):
            first = True
            while frame := _frame(server):
                lose = not first and struct.unpack_from("!i", frame, 4)[0] in commits
                if lose and self._losing.is_set():
                    self._losing.clear()
                    client.shutdown(socket.SHUT_RDWR)
                    self.lost.set()
                    return
                first = False
                client.sendall(frame)
            client.shutdown(socket.SHUT_RDWR)


def _frame(source: socket.socket) -> bytes:
    """The next message with its length before it; empty at the end."""
    head = _exactly(source, 4)
    return head + _exactly(source, struct.unpack("!i", head)[0]) if head else b""


def _exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = source.recv(count - len(data))
        if not part:
            return b""
        data += part
    return data
