"""A private ZooKeeper: one server that answers on the loopback alone."""

import socket

from config.servers import binaries
from config.servers.accounts import account_for
from config.servers.folders import RunFolder
from config.servers.ports import free_port
from config.servers.processes import Program

_CONFIGURATION = """
tickTime=500
dataDir={folder}/data
clientPort={port}
clientPortAddress=127.0.0.1
maxClientCnxns=0
maxSessionTimeout=60000
admin.enableServer=false
4lw.commands.whitelist=srvr
# Its logs would take 64 MB each, and say nothing that a run keeps.
preAllocSize=64
autopurge.purgeInterval=1
"""
_JVM = (
    *("-Xms32m", "-Xmx192m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
    *("-Djava.net.preferIPv4Stack=true", "-Dzookeeper.jmx.log4j.disable=true"),
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)


class ZooKeeper:
    """One server on a loopback port."""

    def __init__(self, run: RunFolder) -> None:
        self._account = account_for("zookeeper")
        self._folder = run.folder("zookeeper")
        self._java, self._classes = binaries.zookeeper()
        self._port = free_port()

    def install(self) -> tuple[Program, ...]:
        (self._folder / "data").mkdir(exist_ok=True)
        configuration = self._folder / "zoo.cfg"
        configuration.write_text(_CONFIGURATION.format(folder=self._folder, port=self._port))
        if self._account is not None:
            self._account.owns(self._folder)
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        return (
            Program(
                name="zookeeper",
                arguments=(
                    *(self._java, *_JVM, f"-Djava.io.tmpdir={self._folder}"),
                    *("-cp", self._classes, main, str(configuration)),
                ),
                environment={"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"},
                folder=self._folder,
                account=self._account,
                log=self._folder / "log",
            ),
        )

    def ready(self) -> bool:
        """Whether it serves: it answers sooner, but says that it does not."""
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=2) as connection:
                connection.sendall(b"srvr")
                answer = connection.makefile("rb").read()
        except OSError:
            return False
        return b"Mode:" in answer

    def complete(self) -> None:
        """Nothing to do: its tree is empty, and whoever uses it makes what he needs."""

    def environment(self) -> dict[str, str]:
        return {"ZOOKEEPER_HOSTS": f"127.0.0.1:{self._port}"}
