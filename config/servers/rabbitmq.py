"""A private RabbitMQ node, with a port mapper (epmd) of its own beside it.

The node is started without the package's wrapper, which insists on root and on one fixed place, and
without its shell in between, so that the process we hold is the node itself.
"""

import secrets
import socket

from config.servers import binaries
from config.servers.accounts import account_for
from config.servers.folders import RunFolder
from config.servers.ports import free_port
from config.servers.processes import Program

_CONFIGURATION = """
default_user = concord
default_pass = {password}
default_vhost = /
default_user_tags.administrator = true
listeners.tcp.1 = 127.0.0.1:{port}
vm_memory_high_watermark.absolute = 600MB
disk_free_limit.absolute = 50MB
collect_statistics_interval = 60000
log.console = true
log.console.level = warning
log.file = false
"""
_NODE = "concord@localhost"


class RabbitMQ:
    """One node on a loopback port."""

    def __init__(self, run: RunFolder) -> None:
        self._account = account_for("rabbitmq")
        self._folder = run.folder("rabbitmq")
        self._binaries = binaries.rabbitmq()
        self._epmd = binaries.epmd()
        self._port, self._node_port, self._map_port = free_port(), free_port(), free_port()
        self._password = secrets.token_urlsafe(24)
        self._cookie = secrets.token_hex(16)

    def install(self) -> tuple[Program, ...]:
        folder = self._folder
        for name in ("mnesia", "log"):
            (folder / name).mkdir()
        configuration = folder / "rabbitmq.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(_CONFIGURATION.format(port=self._port, password=self._password))
        (folder / "enabled_plugins").write_text("[].\n")
        # In a file of its own: an argument or a variable could be read by others.
        cookie = folder / ".erlang.cookie"
        cookie.touch(mode=0o600)
        cookie.write_text(self._cookie)
        cookie.chmod(0o400)
        if self._account is not None:
            self._account.owns(folder)
        return (
            self._program(
                "epmd", (self._epmd, "-port", str(self._map_port), "-address", "127.0.0.1")
            ),
            self._program("rabbitmq", (str(self._binaries / "rabbitmq-server"),)),
        )

    def _program(self, name: str, arguments: tuple[str, ...]) -> Program:
        return Program(
            name=name,
            arguments=arguments,
            environment=self._surroundings(),
            folder=self._folder,
            account=self._account,
            log=self._folder / f"{name}.log",
        )

    def _surroundings(self) -> dict[str, str]:
        folder = str(self._folder)
        return {
            "HOME": folder,
            "LANG": "C.UTF-8",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._map_port),
            "RABBITMQ_NODENAME": _NODE,
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            # Idle schedulers that spin would take a core from the tests.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"
                " -kernel inet_dist_use_interface {127,0,0,1}"
            ),
            # Run the node in place of the script's shell.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def ready(self) -> bool:
        """Speak first, as AMQP asks; a node that serves answers with a method frame."""
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=2) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    def complete(self) -> None:
        """Nothing to do: the user is made before the port opens."""

    def environment(self) -> dict[str, str]:
        return {"RABBITMQ_URL": f"amqp://concord:{self._password}@127.0.0.1:{self._port}/%2F"}
