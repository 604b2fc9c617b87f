"""`make up`: everything on this machine, until Ctrl-C.

Servers, migrations, the demo login, web, workers, observer, sweeper and the demo's load. All of
them are children of the servers' keeper, which ends them with this process, even if it is killed;
this process ends with the ``make`` that started it (``--parent``).
"""

import argparse
import os
import secrets
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from types import FrameType

from config.private import local_secret_key
from config.servers import ServerError, Servers
from config.servers.processes import end_with

_HOST = "127.0.0.1"
_READY_S = 90.0
_PYTHON = sys.executable
_USER = "demo"


def main() -> int:
    """Entry point; the exit status."""
    arguments = _arguments()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        if arguments.parent is not None:
            end_with(arguments.parent)
        port = _free_port()
        with Servers("postgresql", "redis", *_broker()) as servers:
            os.environ.update(servers.environment)
            os.environ.update(_local_profile(port))
            password = _prepare_databases()
            for name, command in _processes(port).items():
                servers.run(name, command)
            _await_ready(port)
            _announce(port, password)
            while servers.pids():
                time.sleep(0.5)
    except KeyboardInterrupt:
        _say("stopped")
        return 0
    except ServerError as error:
        _say(f"error: {error}")
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parent", type=int, help="the process to end with")
    return parser.parse_args()


def _stop(number: int, frame: FrameType | None) -> None:
    # Once: a second Ctrl-C must not cut the cleaning short.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def _free_port() -> int:
    """The port to serve on; taken is an error here, not a puzzle later."""
    text = os.environ.get("PORT", "8000")
    if not text.isdigit() or not 0 < int(text) < 65_536:
        raise ServerError(f"PORT={text}: a port is a number from 1 to 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, int(text)))
        except OSError as error:
            raise ServerError(
                f"port {text} cannot be used ({error.strerror}): set PORT to a free one"
            ) from error
    return int(text)


def _broker() -> tuple[str, ...]:
    return ("rabbitmq",) if os.environ.get("BROKER") == "rabbitmq" else ()


def _local_profile(port: int) -> dict[str, str]:
    """Production's settings, but for plain HTTP on the loopback; what is set stays as it is."""
    profile = {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DEMO": "1",
        "HTTPS": "0",
        "LOG_JSON": "0",
        "LOG_LEVEL": "WARNING",
        "PORT": str(port),
        "PYTHONUNBUFFERED": "1",
        # Started by root, each worker would explain at length that it should not be.
        "PYTHONWARNINGS": "ignore:You're running the worker with superuser",
        "SECRET_KEY": "",
        "STATIC_MANIFEST": "0",
    }
    chosen = {name: os.environ.get(name, default) for name, default in profile.items()}
    return chosen | {"SECRET_KEY": chosen["SECRET_KEY"] or local_secret_key()}


def _prepare_databases() -> str:
    """Create, migrate, and open the demo login; its password."""
    import django
    from django.core.management import call_command
    from django.db import connections

    django.setup()
    _say("preparing the databases")
    _create_bank_databases()
    for alias in connections:
        call_command("migrate", database=alias, verbosity=0, interactive=False)
    password = _open_login()
    connections.close_all()
    return password


def _create_bank_databases() -> None:
    """Beside a DATABASE_URL from the environment, the demo's databases may be missing."""
    from django.db import connection

    with connection.cursor() as cursor:
        for name in ("bank_a", "bank_b"):
            if f"{name.upper()}_URL" in os.environ:
                continue
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if cursor.fetchone() is None:
                cursor.execute(f"CREATE DATABASE {connection.ops.quote_name(name)}")


def _open_login() -> str:
    """A new password at every start, unless DEMO_PASSWORD says which."""
    from django.contrib.auth import get_user_model

    password = os.environ.get("DEMO_PASSWORD") or secrets.token_urlsafe(9)
    user, _ = get_user_model().objects.get_or_create(username=_USER)
    user.is_staff = user.is_superuser = user.is_active = True
    user.set_password(password)
    user.save()
    return password


def _processes(port: int) -> dict[str, list[str]]:
    """Name → command. Preparing and finishing have workers of their own: a prepared branch holds
    locks, so finishing must never queue behind preparing."""
    manage = [_PYTHON, "manage.py"]
    return {
        "web": [
            *(_PYTHON, "-m", "uvicorn", "config.asgi:application"),
            *("--host", _HOST, "--port", str(port), "--lifespan", "off", "--no-access-log"),
            *("--log-level", "warning", "--no-server-header", "--ws-max-size", "65536"),
            *("--timeout-graceful-shutdown", "2"),
        ],
        "worker-prepare": _worker("prepare", "bank.prepare", 2),
        "worker-finish": _worker("finish", "bank.finish,bank.decide", 2),
        "worker-call": _worker("call", "bank.call,celery", 1),
        "observe": [*manage, "concord", "observe"],
        "sweep": [*manage, "concord", "sweep"],
        "demo": [*manage, "demo", "--clerks", "6", "--letters", "6"],
    }


def _worker(name: str, queues: str, concurrency: int) -> list[str]:
    return [
        *(_PYTHON, "-m", "celery", "--quiet", "--app", "config", "worker"),
        *("--queues", queues, "--concurrency", str(concurrency), "--hostname", f"{name}@%h"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]


def _await_ready(port: int) -> None:
    deadline = time.monotonic() + _READY_S
    last = "no answer"
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://{_HOST}:{port}/readyz", timeout=5):
                return
        except urllib.error.HTTPError as error:
            last = error.read(1_000).decode(errors="replace")
        except OSError as error:
            last = str(error)
        time.sleep(0.2)
    raise ServerError(f"not ready after {_READY_S:.0f} s: {last}")


def _announce(port: int, password: str) -> None:
    _say(
        f"\n  Concord is up: http://{_HOST}:{port}/\n"
        f"  login {_USER}, password {password}\n"
        "  Ctrl-C stops everything\n"
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
