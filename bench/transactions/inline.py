"""Cases in one process: the floors, and Concord with its participants in the caller."""

import os

from bench.chunks import Case
from bench.crew import Crew
from bench.rows import turns
from bench.transactions import raw
from bench.transactions.calls import Concord
from bench.transactions.names import IN_FLIGHT, LAST_AGENT, RAW, REGISTER


def cases(*, chunk_s: float) -> list[Case]:
    """All of them. The floors have connections of their own, Concord has Django's."""
    urls = [os.environ["BANK_A_URL"], os.environ["BANK_B_URL"]]
    last = ("bench.inline.a", "bench.inline.home")
    return [
        Crew(RAW, lambda *_: raw.Sequential(urls), chunk_s=chunk_s),
        Crew(IN_FLIGHT, lambda *_: raw.InFlight(urls), chunk_s=chunk_s),
        Crew(REGISTER, register, chunk_s=chunk_s),
        Crew(LAST_AGENT, lambda *place: Concord(last, turns(*place)), chunk_s=chunk_s),
    ]


def register(part: int, parts: int) -> Concord:
    """Two participants, neither in the coordinator's database."""
    return Concord(("bench.inline.a", "bench.inline.b"), turns(part, parts))
