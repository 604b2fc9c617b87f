"""Cases in one process: the floors, and Concord with its participants in the caller."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

from bench import acceptors
from bench.chunks import Case
from bench.crew import Crew
from bench.rows import turns
from bench.transactions import raw
from bench.transactions.calls import Concord
from bench.transactions.names import (
    IN_FLIGHT,
    KEEPER,
    LAST_AGENT,
    PAXOS,
    PAXOS_32,
    QUORUM,
    RAW,
    REGISTER,
    REGISTER_32,
)
from coordination import conf

MANY, MANY_CHUNK_S = 32, 0.5


@cache
def _together() -> ThreadPoolExecutor:
    """Of all cases with so many in flight: the server has not connections for each."""
    return ThreadPoolExecutor(MANY)


def cases(*, chunk_s: float) -> list[Case]:
    """All of them. The floors have connections of their own, Concord has Django's."""
    urls = [os.environ["BANK_A_URL"], os.environ["BANK_B_URL"]]
    last = ("bench.inline.a", "bench.inline.home")
    return [
        Crew(RAW, lambda *_: raw.Sequential(urls), chunk_s=chunk_s),
        Crew(IN_FLIGHT, lambda *_: raw.InFlight(urls), chunk_s=chunk_s),
        Crew(REGISTER, register, chunk_s=chunk_s),
        *elsewhere(chunk_s=chunk_s),
        Crew(LAST_AGENT, lambda *place: Concord(last, turns(*place)), chunk_s=chunk_s),
    ]


def elsewhere(*, chunk_s: float) -> Iterator[Case]:
    """The same transaction, decided elsewhere than in the coordinator's row."""
    acceptors.found()
    places = {QUORUM: {"register": "paxos"}, PAXOS: {"protocol": "paxos"}}
    if "zookeeper" in conf.current().stores:
        places[KEEPER] = {"register": "zookeeper"}
    for name, options in places.items():
        yield Crew(name, partial(register, **options), chunk_s=chunk_s)
    for name, options in ((REGISTER_32, {}), (PAXOS_32, places[PAXOS])):
        made = partial(register, **options)
        yield Crew(name, made, threads=MANY, chunk_s=max(chunk_s, MANY_CHUNK_S), pool=_together())


def register(part: int, parts: int, **options: str) -> Concord:
    """Two participants, neither in the coordinator's database."""
    return Concord(("bench.inline.a", "bench.inline.b"), turns(part, parts), **options)
