"""The run's own RabbitMQ, as its operators and its troubles reach it."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import amqp

from config.servers import Servers, binaries


class Node:
    """One node, by its process."""

    def __init__(self, servers: Servers, url: str) -> None:
        self.servers = servers
        self.url = url

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    def through(self, port: int) -> str:
        """Its URL by way of a proxy."""
        return self.url.replace(f":{self.port}/", f":{port}/")

    def control(self, *words: str) -> str:
        """Run ``rabbitmqctl``."""
        environ = Path(f"/proc/{self.servers.pid('rabbitmq')}/environ").read_bytes()
        pairs = [pair.partition("=") for pair in environ.decode().split("\0") if pair]
        given = {name: value for name, _, value in pairs}
        kept = ("ERL_EPMD_PORT", "ERL_EPMD_ADDRESS", "HOME", "PATH", "LANG", "RABBITMQ_NODENAME")
        environment = {name: given[name] for name in kept if name in given}
        environment["RABBITMQ_CONF_ENV_FILE"] = "/dev/null"
        done = subprocess.run(
            [binaries.rabbitmq() / "rabbitmqctl", "--quiet", *words],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It answers nothing during the block."""
        pid = self.servers.pid("rabbitmq")
        os.kill(pid, signal.SIGSTOP)
        stat = Path(f"/proc/{pid}/stat")
        while stat.read_text().rpartition(")")[2].split()[0] != "T":
            threading.Event().wait(0.001)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @contextmanager
    def client(self) -> Iterator[amqp.Channel]:
        """A plain client, for looking from outside."""
        parts = urlsplit(self.url)
        connection = amqp.Connection(
            host=f"{parts.hostname}:{parts.port}",
            userid=parts.username,
            password=parts.password,
            virtual_host="/",
        )
        connection.connect()
        try:
            yield connection.channel()
        finally:
            connection.close()
