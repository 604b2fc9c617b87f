"""A private PostgreSQL that allows prepared transactions and keeps fsync on."""

import secrets
import signal
import subprocess

import psycopg
import psycopg.sql

from config.servers import binaries
from config.servers.accounts import account_for
from config.servers.errors import ServerError
from config.servers.folders import RunFolder
from config.servers.ports import free_port
from config.servers.processes import Program

_CONFIGURATION = """
listen_addresses = '127.0.0.1'
port = {port}
# No unix socket: its path is limited to 107 bytes, and the loopback asks for a password.
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
max_connections = 200
max_prepared_transactions = 200
shared_buffers = '128MB'
log_min_messages = warning
log_line_prefix = '%m [%p] '
"""
_DATABASES = ("concord", "bank_a", "bank_b")
_ROLE = "concord"


class PostgreSQL:
    """One cluster on a loopback port, its data in the run's folder."""

    def __init__(self, run: RunFolder) -> None:
        self._account = account_for("postgres")
        self._folder = run.folder("postgresql")
        self._data = self._folder / "data"
        self._binaries = binaries.postgresql(
            copy_to=None if self._account is None else self._folder
        )
        self._port = free_port()
        self._superuser_password = secrets.token_urlsafe(24)
        self._password = secrets.token_urlsafe(24)

    def install(self) -> tuple[Program, ...]:
        password_file = self._folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._superuser_password)
        if self._account is not None:
            self._account.owns(self._folder)
        self._initdb(str(password_file))
        password_file.unlink()
        with (self._data / "postgresql.conf").open("a") as configuration:
            configuration.write(_CONFIGURATION.format(port=self._port))
        return (
            Program(
                name="postgresql",
                arguments=(str(self._binaries / "postgres"), "-D", str(self._data)),
                environment=self._surroundings(),
                folder=self._folder,
                account=self._account,
                log=self._folder / "log",
                # Fast shutdown: sessions end, shared memory is given back.
                stop_signal=signal.SIGINT,
            ),
        )

    def _initdb(self, password_file: str) -> None:
        account = self._account
        done = subprocess.run(  # noqa: S603 - our own arguments, no shell
            [
                self._binaries / "initdb",
                *("-D", self._data, "-U", "postgres", "-E", "UTF8", "--no-locale", "--no-sync"),
                *("--auth", "scram-sha-256", "--pwfile", password_file),
            ],
            cwd=self._folder,
            env=self._surroundings(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else [],
        )
        if done.returncode:
            raise ServerError(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")

    def _surroundings(self) -> dict[str, str]:
        return {"HOME": str(self._folder), "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "TZ": "UTC"}

    def ready(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1",
            port=self._port,
            user="postgres",
            password=self._superuser_password,
            dbname="postgres",
            connect_timeout=2,
            autocommit=True,
        )

    def complete(self) -> None:
        """The role everybody works as: it may create databases, and is no superuser."""
        with self._connect() as connection:
            connection.execute(
                psycopg.sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}").format(
                    psycopg.sql.Identifier(_ROLE), psycopg.sql.Literal(self._password)
                )
            )
            for name in _DATABASES:
                connection.execute(
                    psycopg.sql.SQL("CREATE DATABASE {} OWNER {}").format(
                        psycopg.sql.Identifier(name), psycopg.sql.Identifier(_ROLE)
                    )
                )

    def environment(self) -> dict[str, str]:
        server = f"postgres://{_ROLE}:{self._password}@127.0.0.1:{self._port}"
        return {
            "DATABASE_URL": f"{server}/concord",
            "BANK_A_URL": f"{server}/bank_a",
            "BANK_B_URL": f"{server}/bank_b",
        }
