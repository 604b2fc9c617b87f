"""The floor: SET NX PX and a compare-and-delete, both by EVALSHA through redis-py."""

import secrets
import time
from functools import partial
from types import TracebackType

import redis

from bench.addresses import redis_url
from bench.locks.names import PAIR
from bench.locks.ways import LEASE_S, Hold, Way

SPIN_S = 0.001
_TAKE = "return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])"
_GIVE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0"""


class _Pair:
    def __init__(self, client: redis.Redis, take: str, give: str, name: str) -> None:
        self._client = client
        self._take = take
        self._give = give
        self._name = name
        self._owner = secrets.token_hex(12)

    def __enter__(self) -> None:
        while not self._client.evalsha(self._take, 1, self._name, self._owner, LEASE_S * 1000):
            time.sleep(SPIN_S)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._client.evalsha(self._give, 1, self._name, self._owner) != 1:
            raise RuntimeError("the lease ran out")


def _make() -> Hold:
    client = redis.Redis.from_url(redis_url())
    return partial(_Pair, client, client.script_load(_TAKE), client.script_load(_GIVE))


PAIR_WAY = Way(name=PAIR, make=_make)
