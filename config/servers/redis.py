"""A private Redis that logs every write (AOF) and evicts nothing."""

import secrets

import redis

from config.servers import binaries
from config.servers.accounts import account_for
from config.servers.folders import RunFolder
from config.servers.ports import free_port
from config.servers.processes import Program

_CONFIGURATION = """
bind 127.0.0.1
port {port}
requirepass {password}
protected-mode yes
daemonize no
databases 16
dir {folder}
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""


class Redis:
    """One server on a loopback port, behind a password."""

    def __init__(self, run: RunFolder) -> None:
        self._account = account_for("redis")
        self._folder = run.folder("redis")
        self._binary = binaries.redis(copy_to=None if self._account is None else self._folder)
        self._port = free_port()
        self._password = secrets.token_urlsafe(24)

    def install(self) -> tuple[Program, ...]:
        configuration = self._folder / "redis.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(
            _CONFIGURATION.format(port=self._port, password=self._password, folder=self._folder)
        )
        if self._account is not None:
            self._account.owns(self._folder)
        return (
            Program(
                name="redis",
                arguments=(str(self._binary), str(configuration)),
                environment={"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"},
                folder=self._folder,
                account=self._account,
                log=self._folder / "log",
            ),
        )

    def ready(self) -> bool:
        with redis.Redis.from_url(
            self.environment()["REDIS_URL"], socket_timeout=2, socket_connect_timeout=2, retry=None
        ) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def complete(self) -> None:
        """Nothing to do: Redis is whole from the start."""

    def environment(self) -> dict[str, str]:
        return {"REDIS_URL": f"redis://:{self._password}@127.0.0.1:{self._port}/0"}
