"""The Redis connection: deadlines kept, nothing sent twice, no reply to the wrong process."""

import asyncio
import gc
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coordination.connections.redis import RedisStore
from coordination.connections.redis_async import AsyncRedisConnection
from coordination.connections.redis_errors import RedisReplyError
from coordination.exceptions import (
    InvalidArgument,
    NotSupportedByStore,
    OutcomeUnknown,
    StoreUnavailable,
)
from tests.integration.forked_child import fork, succeeded
from tests.integration.own_redis import CuttingProxy, OwnRedis, own_redis

__all__ = ["own_redis"]


@pytest.fixture
def store(own_redis: OwnRedis) -> Iterator[RedisStore]:
    store = RedisStore("redis", own_redis.url)
    yield store
    store.close()


def _took(call: Callable[[], object], error: type[Exception]) -> float:
    started = time.monotonic()
    with pytest.raises(error):
        call()
    return time.monotonic() - started


def test_replies_come_as_redis_sent_them(store: RedisStore) -> None:
    assert store.call("SET", "n", 1) == b"OK"
    assert store.call("INCR", "n") == 2
    assert store.call("GET", "nothing") is None
    assert store.pipeline([("INCR", "n"), ("MGET", "n", "nothing")]) == [3, [b"3", None]]


def test_an_error_in_a_pipeline_does_not_shift_later_replies(store: RedisStore) -> None:
    store.call("SET", "text", "x")

    with pytest.raises(RedisReplyError, match="not an integer"):
        store.pipeline([("INCR", "n"), ("INCR", "text"), ("INCR", "n")])

    assert store.call("GET", "n") == b"2"


def test_an_error_reply_keeps_the_connection_and_its_word(store: RedisStore) -> None:
    store.call("SET", "text", "x")

    with pytest.raises(RedisReplyError) as caught:
        store.call("LPUSH", "text", 1)

    assert caught.value.word == "WRONGTYPE"
    assert caught.value.applied is False
    assert store.call("GET", "text") == b"x"


def test_an_unknown_command_says_that_the_store_cannot(store: RedisStore) -> None:
    with pytest.raises(NotSupportedByStore, match="too old"):
        store.call("CONCORD.MAGIC")


@pytest.mark.parametrize("value", [None, True, ["x"]])
def test_a_value_redis_cannot_take_is_refused_before_it_is_sent(value: object) -> None:
    nobody = RedisStore("redis", "redis://127.0.0.1:1/0")

    with pytest.raises(InvalidArgument, match="takes bytes, str, int and float"):
        nobody.call("SET", "x", value)  # type: ignore[arg-type]


def test_a_script_runs_whether_or_not_the_server_has_it(
    store: RedisStore, own_redis: OwnRedis
) -> None:
    add = store.script("return redis.call('INCRBY', KEYS[1], ARGV[1])")

    replies = [add(["n"], [2]), add(["n"], [3])]
    with own_redis.client() as client:
        client.script_flush()
    replies.append(add(["n"], [4]))

    assert replies == [2, 5, 9]


def test_nobody_listening_is_said_at_once_and_nothing_was_applied() -> None:
    store = RedisStore("redis", "redis://user:secret@127.0.0.1:1/0")

    with pytest.raises(StoreUnavailable) as caught:
        store.call("INCR", "n")

    assert caught.value.applied is False
    assert caught.value.store == "redis"
    assert "secret" not in str(caught.value)


def test_a_frozen_server_gives_an_error_within_the_deadline(
    store: RedisStore, own_redis: OwnRedis
) -> None:
    store.call("PING")
    own_redis.freeze()

    known = _took(lambda: store.call("INCR", "n", deadline_ms=300), OutcomeUnknown)
    fresh = _took(lambda: store.call("INCR", "n", deadline_ms=300), OutcomeUnknown)

    assert 0.25 < known < 0.8
    assert 0.25 < fresh < 0.8


def test_a_frozen_server_behind_a_login_gives_an_error_within_the_deadline(
    own_redis: OwnRedis,
) -> None:
    store = RedisStore("redis", f"redis://:word@127.0.0.1:{own_redis.port}/1")
    own_redis.freeze()

    took = _took(lambda: store.call("INCR", "n", deadline_ms=300), StoreUnavailable)

    assert 0.25 < took < 0.8


def test_a_request_that_does_not_fit_the_socket_keeps_the_deadline(
    store: RedisStore, own_redis: OwnRedis
) -> None:
    store.call("PING")
    own_redis.freeze()
    large = "x" * 50_000_000

    took = _took(lambda: store.call("SET", "n", large, deadline_ms=300), StoreUnavailable)

    assert took < 0.8
    own_redis.thaw()
    assert store.call("GET", "n") is None


def test_a_reply_that_trickles_in_keeps_the_deadline() -> None:
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def trickle() -> None:
            client, _ = listener.accept()
            with client:
                client.sendall(b"$100\r\n")
                while not over.wait(0.05):
                    client.sendall(b"x")

        thread = threading.Thread(target=trickle)
        thread.start()
        store = RedisStore("redis", f"redis://127.0.0.1:{listener.getsockname()[1]}/0")

        took = _took(lambda: store.call("GET", "x", deadline_ms=400), OutcomeUnknown)
        over.set()
        thread.join(timeout=10)

    assert 0.35 < took < 0.9


def test_a_blocking_command_may_wait_longer_than_the_deadline(store: RedisStore) -> None:
    reply = store.blocking("BLPOP", "empty", 0.5, block_ms=500, deadline_ms=300)

    assert reply is None


def test_a_frozen_server_ends_a_blocking_command_too(
    store: RedisStore, own_redis: OwnRedis
) -> None:
    store.call("PING")
    own_redis.freeze()

    took = _took(
        lambda: store.blocking("BLPOP", "empty", 0.2, block_ms=200, deadline_ms=300),
        OutcomeUnknown,
    )

    assert 0.45 < took < 1.0


def test_a_lost_reply_is_unknown_and_the_command_ran_once(own_redis: OwnRedis) -> None:
    with CuttingProxy(own_redis.port, cut_after=1) as proxy:
        store = RedisStore("redis", proxy.url)
        assert store.call("INCR", "n") == 1

        with pytest.raises(OutcomeUnknown) as caught:
            store.call("INCR", "n")

    assert caught.value.applied is None
    with own_redis.client() as client:
        assert client.get("n") == "2"


def test_a_restarted_server_is_met_with_a_fresh_connection(
    store: RedisStore, own_redis: OwnRedis
) -> None:
    store.call("PING")
    own_redis.kill()
    own_redis.start()

    assert store.call("INCR", "n") == 1


def test_a_connection_with_an_unread_reply_is_not_used_again(store: RedisStore) -> None:
    store.call("SET", "first", "1")
    wire = store._pool.take(time.monotonic() + 1)
    wire.send(b"*2\r\n$3\r\nGET\r\n$5\r\nfirst\r\n", time.monotonic() + 1)
    assert select.select([wire._socket], [], [], 10)[0]
    store._pool.give_back(wire)

    assert store.call("GET", "second") is None


def test_a_read_only_replica_refuses_writes_as_unavailable(
    store: RedisStore, own_redis: OwnRedis
) -> None:
    store.call("REPLICAOF", "127.0.0.1", 1)

    with pytest.raises(StoreUnavailable, match="READONLY"):
        store.call("SET", "n", 1)


def test_a_wrong_password_is_a_refusal(own_redis: OwnRedis) -> None:
    with own_redis.client() as client:
        client.config_set("requirepass", "right")
    wrong = RedisStore("redis", f"redis://:wrong@127.0.0.1:{own_redis.port}/0")
    right = RedisStore("redis", f"redis://:right@127.0.0.1:{own_redis.port}/3")

    with pytest.raises(StoreUnavailable, match="WRONGPASS"):
        wrong.call("PING")
    right.call("SET", "n", 1)

    assert right.call("CLIENT", "LIST").split(b" db=")[1].split()[0] == b"3"


def test_unix_sockets_and_tls_are_reached(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as probe:
        tls_port = probe.getsockname()[1]
    path = tmp_path / "redis.sock"
    server = OwnRedis(
        tmp_path, "--unixsocket", str(path), "--tls-port", str(tls_port), "--tls-auth-clients",
        "no", "--tls-cert-file", str(certificate), "--tls-key-file", str(key),
    )  # fmt: skip
    try:
        unix = RedisStore("unix", f"unix://{path}?db=1")
        tls = RedisStore("tls", f"rediss://127.0.0.1:{tls_port}/1?ssl_ca_certs={certificate}")
        unix.call("SET", "n", "x" * 200_000)

        replies = [tls.call("STRLEN", "n") for _ in range(3)]
        whole = tls.call("GET", "n")

        assert replies == [200_000] * 3
        assert len(whole) == 200_000
        assert tls.call("CLIENT", "LIST").count(b"\n") == 2, "one connection each, used again"
        untrusted = RedisStore("tls", f"rediss://127.0.0.1:{tls_port}/1")
        with pytest.raises(StoreUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            untrusted.call("PING")
        tls.close()
        unix.close()
    finally:
        server.kill()


def test_parent_and_forked_child_never_read_each_others_replies(store: RedisStore) -> None:
    rounds = 500
    for name in ("parent", "child"):
        store.call("SET", name, name)
    store.pipeline([("PING",)])

    child = fork(lambda: all(store.call("GET", "child") == b"child" for _ in range(rounds)))
    wrong = sum(store.call("GET", "parent") != b"parent" for _ in range(rounds))

    assert wrong == 0
    assert succeeded(child)


def test_a_fork_leaves_the_parents_connection_open(store: RedisStore) -> None:
    store.call("PING")
    before = store.call("CLIENT", "ID")

    child = fork(lambda: store.call("CLIENT", "ID") != before)

    assert succeeded(child)
    assert store.call("CLIENT", "ID") == before


def test_a_store_that_nobody_holds_closes_its_sockets(own_redis: OwnRedis) -> None:
    store = RedisStore("redis", own_redis.url)
    store.call("PING")
    socket_of_it = store._pool._idle[0]._socket
    keeps_itself = [store]
    keeps_itself.append(keeps_itself)  # type: ignore[arg-type]
    del store, keeps_itself
    gc.collect()

    assert socket_of_it.fileno() == -1


def test_threads_share_the_pool_without_mixing_replies(store: RedisStore) -> None:
    wrong: list[object] = []

    def work(name: str) -> None:
        wrong.extend(
            reply for _ in range(200) if (reply := store.call("ECHO", name)) != name.encode()
        )

    threads = [threading.Thread(target=work, args=(f"thread-{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert store.call("CLIENT", "LIST").count(b"\n") <= 8


@pytest.mark.parametrize("location", ["redis://h/1?unheard_of=1", "http://h"])
def test_a_url_nobody_understands_is_refused_before_any_use(location: str) -> None:
    with pytest.raises(InvalidArgument, match="'redis'"):
        RedisStore("redis", location)


async def test_the_asyncio_connection_waits_for_a_stream_and_keeps_its_deadline(
    own_redis: OwnRedis,
) -> None:
    reader = AsyncRedisConnection("redis", own_redis.url)
    writer = AsyncRedisConnection("redis", own_redis.url)
    waiting = asyncio.ensure_future(
        reader.blocking("XREAD", "BLOCK", 5000, "STREAMS", "feed", "0", block_ms=5000)
    )
    await writer.call("XADD", "feed", "1-0", "body", "x")

    assert (await waiting)[0][0] == b"feed"
    own_redis.freeze()
    started = time.monotonic()
    with pytest.raises(OutcomeUnknown):
        await writer.call("PING", deadline_ms=200)
    assert time.monotonic() - started < 0.7
    own_redis.thaw()
    assert await writer.call("PING") == b"PONG"
    await reader.aclose()
    await writer.aclose()


async def test_a_cancelled_asyncio_call_does_not_leave_its_reply_to_the_next(
    own_redis: OwnRedis,
) -> None:
    connection = AsyncRedisConnection("redis", own_redis.url)
    await connection.call("PING")
    own_redis.freeze()
    task = asyncio.ensure_future(connection.call("ECHO", "old"))
    for _ in range(20):  # the turns of the loop in which it is sent
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    own_redis.thaw()

    assert await connection.call("ECHO", "new") == b"new"
    await connection.aclose()


async def test_the_asyncio_connection_translates_refusals_and_absence(own_redis: OwnRedis) -> None:
    nobody = AsyncRedisConnection("redis", "redis://127.0.0.1:1/0")
    with pytest.raises(StoreUnavailable, match="was not sent"):
        await nobody.call("PING")
    connection = AsyncRedisConnection("redis", own_redis.url)
    with pytest.raises(RedisReplyError, match="wrong number of arguments"):
        await connection.call("INCR", "a", "b")
    await connection.call("REPLICAOF", "127.0.0.1", 1)
    with pytest.raises(StoreUnavailable, match="READONLY"):
        await connection.call("SET", "n", 1)
    await connection.aclose()
