"""What many callers are told while servers freeze, die and lose replies fits one register."""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from math import inf
from threading import Event

import pytest

from coordination.consensus.stores.paxos import PaxosRegisters
from coordination.consensus.types import Register
from coordination.exceptions import OutcomeUnknown, StoreUnavailable
from coordination.verification.linearizability import Call, Linearizable, NotLinearizable, check
from coordination.verification.register_model import NOTHING, UNSEEN, RegisterModel
from tests.consensus_stores import Quorum, _quorum_servers, elect, servers_of_quorum
from tests.integration.losing_proxy import LosingProxy

__all__ = ["_quorum_servers", "elect", "servers_of_quorum"]

CALLERS, CALLS, REGISTERS = 5, 5, 16
DEADLINE_MS = 600

Elect = Callable[..., PaxosRegisters]


@pytest.fixture
def proxies(servers_of_quorum: Quorum) -> Iterator[dict[str, LosingProxy]]:
    with ExitStack() as stack:
        yield {
            alias: stack.enter_context(LosingProxy(server.port))
            for alias, server in servers_of_quorum.servers.items()
        }


def told(quorum: PaxosRegisters, register: Register, caller: str, value: str | None) -> Call | None:
    """One call as its caller saw it; None when it was not applied."""
    began, ended = time.monotonic(), inf
    what = "read" if value is None else f"decide {value}"
    try:
        if value is None:
            answer = quorum.read(register, deadline_ms=DEADLINE_MS) or NOTHING
        else:
            answer = quorum.decide(register, value, deadline_ms=DEADLINE_MS)
        ended = time.monotonic()
    except OutcomeUnknown:
        answer = UNSEEN
    except StoreUnavailable:
        return None
    return Call(process=caller, what=what, answer=answer, began=began, ended=ended)


def test_what_threads_are_told_is_what_one_register_could_have_told(
    servers_of_quorum: Quorum, elect: Elect, proxies: dict[str, LosingProxy]
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    stores: dict[str, dict[str, object]] = {
        alias: {"BACKEND": "redis", "LOCATION": proxy.url} for alias, proxy in proxies.items()
    }
    quorum, over = elect(stores, deadline_s=5), Event()

    def disturb() -> None:
        chance = random.Random(seed)
        while not over.wait(chance.uniform(0, 0.02)):
            proxies[chance.choice(list(proxies))].lose(1)
            victim = servers_of_quorum.servers[chance.choice(list(proxies))]
            if chance.random() < 0.3:
                victim.freeze()
                over.wait(chance.uniform(0, 0.05))
                victim.thaw()

    def call(caller: int, register: Register) -> list[Call]:
        chance = random.Random(f"{seed} {caller} {register.name}")
        wishes = [chance.choice([None, "yes", f"w{caller}"]) for _ in range(CALLS)]
        calls = [told(quorum, register, str(caller), wish) for wish in wishes]
        return [each for each in calls if each is not None]

    answered = 0
    with ThreadPoolExecutor(CALLERS + 1) as threads:
        disturbing = threads.submit(disturb)
        try:
            for number in range(REGISTERS):
                register = Register(name=f"cell:{number}", opening="yes" if number % 2 else None)
                told_by = [threads.submit(call, caller, register) for caller in range(CALLERS)]
                history = [each for calls in told_by for each in calls.result()]
                verdict = check(history, RegisterModel())
                assert isinstance(verdict, Linearizable), f"seed {seed}: {verdict}"
                answered += sum(each.ended < inf for each in history)
        finally:
            over.set()
            disturbing.result()
    assert answered > CALLERS * REGISTERS
    assert sum(proxy.lost for proxy in proxies.values()) > 0


def test_a_history_in_which_the_value_changed_is_refused() -> None:
    def call(what: str, answer: str, began: float) -> Call:
        return Call(process="a", what=what, answer=answer, began=began, ended=began + 0.5)

    good = [call("read", NOTHING, 0), call("decide yes", "yes", 1), call("read", "yes", 2)]
    lost = Call(process="b", what="decide no", answer=UNSEEN, began=0)

    assert isinstance(check([*good, lost], RegisterModel()), Linearizable)
    assert isinstance(check([*good, call("read", NOTHING, 3)], RegisterModel()), NotLinearizable)
    assert isinstance(check([*good, call("decide no", "no", 3)], RegisterModel()), NotLinearizable)
