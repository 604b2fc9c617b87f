"""Private servers with everything in them that a part of the bench needs."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.acceptors import acceptors
from config.servers import ServerError, Servers
from config.servers.kinds import KINDS

_PROFILE = {
    "DEBUG": "0",
    "DEMO": "1",
    "DJANGO_SETTINGS_MODULE": "bench.settings",
    "HTTPS": "0",
    "LOG_JSON": "0",
    "LOG_LEVEL": "ERROR",
    "SECRET_KEY": "only-for-the-bench",
    "STATIC_MANIFEST": "0",
}


@contextmanager
def ground(broker: str, *, optional: Sequence[str] = ()) -> Iterator[Servers]:
    """Start servers, set Django up on them, create the tables; everything ends with the block.

    Servers that are `optional` are left out where they are not to be had.
    """
    os.environ.update(_PROFILE, BROKER=broker)
    names = ["postgresql", "redis", *(["rabbitmq"] if broker == "rabbitmq" else [])]
    with Servers(*names) as servers, TemporaryDirectory(prefix="bench-") as folder:
        for name in optional:
            _start_if_had(servers, name)
        os.environ.update(servers.environment, BENCH_FOLDER=folder)
        with acceptors(Path(folder)):
            _migrate()
            yield servers


def migrate_sqlite() -> None:
    """Create the tables in the file of the SQLite store, too."""
    from django.core.management import call_command

    call_command("migrate", "coordination", database="bench_sqlite", verbosity=0)


def _start_if_had(servers: Servers, name: str) -> None:
    if name not in KINDS:
        return
    try:
        servers.start(name)
    except ServerError as error:
        sys.stderr.write(f"going on without {name}: {error}\n")


def _migrate() -> None:
    import django
    from django.core.management import call_command

    from bench import rows

    django.setup()
    for alias in rows.DATABASES:
        call_command("migrate", database=alias, verbosity=0, interactive=False)
    rows.create()


def start_workers(servers: Servers, *, concurrency: int = 2) -> None:
    """Workers as `make up` has them: preparing and finishing in processes of their own."""
    for name, queues in (("prepare", "bank.prepare"), ("finish", "bank.finish,bank.decide")):
        servers.run(
            f"worker-{name}",
            [
                *(sys.executable, "-m", "celery", "--quiet", "--app", "config", "worker"),
                *("--queues", queues, "--concurrency", str(concurrency)),
                *("--hostname", f"{name}@%h", "--loglevel", "ERROR"),
                *("--without-gossip", "--without-mingle", "--without-heartbeat"),
            ],
            # As root, Celery warns at length.
            os.environ | {"PYTHONWARNINGS": "ignore"},
        )
