"""Private servers live as long as whoever asked for them, and no longer."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from kazoo.client import KazooClient

from config.servers import ServerError, Servers
from config.servers.kinds import VARIABLES

ROOT = Path(__file__).resolve().parents[2]
STARTER = """
import json, sys
from config.servers import Servers
with Servers(*sys.argv[1:]) as servers:
    print(json.dumps({"environment": servers.environment, "pids": servers.pids()}), flush=True)
    sys.stdin.read()
"""


@contextmanager
def starter(
    *names: str, cwd: Path = ROOT, **variables: str
) -> Iterator[tuple[subprocess.Popen[str], dict[str, dict]]]:
    """A process that holds servers until its input ends, and what it says about them."""
    urls = {*VARIABLES.values(), "BANK_A_URL", "BANK_B_URL"}
    environment = {k: v for k, v in os.environ.items() if k not in urls} | variables
    process = subprocess.Popen(
        [sys.executable, "-c", STARTER, *names],
        cwd=cwd,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def family(pids: dict[str, int]) -> list[psutil.Process]:
    """The servers' processes, their children, and the keeper above them."""
    keeper = psutil.Process(next(iter(pids.values()))).parent()
    return [keeper, *keeper.children(recursive=True)]


def assert_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert not alive


def test_postgresql_allows_prepared_transactions_and_keeps_fsync(servers: Servers) -> None:
    with psycopg.connect(servers.environment["DATABASE_URL"]) as connection:
        shown = {
            name: connection.execute(f"SHOW {name}").fetchone()[0]
            for name in ("max_prepared_transactions", "fsync", "full_page_writes")
        }
    assert int(shown.pop("max_prepared_transactions")) >= 64
    assert set(shown.values()) == {"on"}


def test_redis_logs_every_write_and_evicts_nothing(servers: Servers) -> None:
    with redis.Redis.from_url(servers.environment["REDIS_URL"]) as client:
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_servers_are_gone_after_their_starter_was_killed() -> None:
    with starter("postgresql", "redis") as (process, said):
        processes = family(said["pids"])
        folder = Path(psutil.Process(said["pids"]["redis"]).cwd()).parent
        process.send_signal(signal.SIGKILL)
        assert_gone(processes)
    assert not folder.exists()


def test_rabbitmq_and_its_port_mapper_are_gone_after_their_starter_was_killed(
    rabbitmq_installed: None,
) -> None:
    with starter("rabbitmq") as (process, said):
        processes = family(said["pids"])
        process.send_signal(signal.SIGKILL)
        assert_gone(processes)


def test_zookeeper_serves_and_is_gone_after_its_starter_was_killed(
    zookeeper_installed: None,
) -> None:
    with starter("zookeeper") as (process, said):
        processes = family(said["pids"])
        client = KazooClient(said["environment"]["ZOOKEEPER_HOSTS"])
        client.start()
        assert client.exists("/zookeeper") is not None
        client.stop()
        client.close()
        assert psutil.Process(said["pids"]["zookeeper"]).uids().effective != 0
        process.send_signal(signal.SIGKILL)
        assert_gone(processes)


def test_servers_are_gone_after_their_keeper_was_killed_and_the_next_run_tidies_up() -> None:
    with starter("postgresql", "redis") as (_, said):
        keeper, *below = family(said["pids"])
        folder = Path(psutil.Process(said["pids"]["redis"]).cwd()).parent
        keeper.kill()
        assert_gone(below)
    with starter("redis"):
        assert not folder.exists()


def test_two_runs_at_once_have_servers_of_their_own() -> None:
    with starter("postgresql", "redis") as (_, one), starter("postgresql", "redis") as (_, two):
        assert not set(one["pids"].values()) & set(two["pids"].values())
        assert not set(one["environment"].values()) & set(two["environment"].values())


def test_the_environment_wins_and_nothing_is_started() -> None:
    url = "redis://somewhere.invalid:6379/0"
    with starter("redis", REDIS_URL=url) as (_, said):
        assert said == {"environment": {"REDIS_URL": url}, "pids": {}}


def test_a_killed_postgresql_comes_back_on_its_port_and_data(servers: Servers) -> None:
    url = servers.environment["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE survives (id int)")
        connection.execute("INSERT INTO survives VALUES (1)")
    killed = servers.pid("postgresql")
    os.kill(killed, signal.SIGKILL)
    servers.await_ready("postgresql")
    assert servers.pid("postgresql") != killed
    with psycopg.connect(url, autocommit=True) as connection:
        assert connection.execute("SELECT id FROM survives").fetchall() == [(1,)]
        connection.execute("DROP TABLE survives")


def test_a_stopped_server_stays_down_until_it_is_started() -> None:
    with Private("redis") as servers:
        url = servers.environment["REDIS_URL"]
        servers.stop("redis")
        with pytest.raises(ServerError):
            servers.pid("redis")
        servers.start("redis")
        assert servers.environment["REDIS_URL"] == url
        with redis.Redis.from_url(url) as client:
            assert client.ping()


def test_a_deep_private_checkout_is_no_obstacle(tmp_path: Path) -> None:
    """Its path overflows a socket's 107 bytes, and no other account can enter it."""
    private = tmp_path / "private"
    checkout = private / ("deep" * 40)
    shutil.copytree(ROOT / "config", checkout / "config")
    private.chmod(0o700)
    with (
        starter("postgresql", "redis", cwd=checkout) as (_, said),
        psycopg.connect(said["environment"]["DATABASE_URL"]) as connection,
    ):
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert private.stat().st_mode & 0o777 == 0o700


def test_no_server_and_no_data_belong_to_root_or_are_open_to_others() -> None:
    with starter("postgresql", "redis") as (_, said):
        for pid in said["pids"].values():
            process = psutil.Process(pid)
            assert process.uids().effective != 0
            assert Path(process.cwd()).stat().st_uid == process.uids().effective
            assert Path(process.cwd()).stat().st_mode & 0o077 == 0


def test_a_server_without_a_password_is_refused(servers: Servers) -> None:
    url = servers.environment["DATABASE_URL"]
    host, _, rest = url.partition("@")
    assert host
    with pytest.raises(psycopg.OperationalError, match="no password"):
        psycopg.connect(f"postgres://concord@{rest}")


class Private(Servers):
    """Servers of this test alone, whatever the run's environment names."""

    def start(self, *names: str) -> dict[str, str]:
        held = {v: os.environ.pop(v) for v in VARIABLES.values() if v in os.environ}
        try:
            return super().start(*names)
        finally:
            os.environ.update(held)
