"""Forked processes that change one counter; each tells what it did, also if it is killed."""

import os
import random
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from coordination import counter
from coordination.counters.api import Counter
from coordination.exceptions import CoordinationError
from coordination.verification.counter_model import UNSEEN
from coordination.verification.linearizability import Call
from tests.contract.locks.asking import pass_time
from tests.faults.lock_agents import Agent, Told


def counting(alias: str, name: str, *, seconds: float) -> Callable[[Told], None]:
    """Add 1 with an op id each, some of them several times, as a broker would."""

    def work(told: Told) -> None:
        c, chance = counter(name, using=alias), random.Random(os.getpid())
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            op_id = secrets.token_hex(8)
            told.begins(op_id)
            for _ in range(chance.choice([1, 1, 1, 2, 3])):
                try:
                    c.add(1, op_id=op_id)
                except CoordinationError:
                    pass_time(0.02)

    return work


def incrementing(alias: str, name: str, *, times: int) -> Callable[[Told], None]:
    """Add 1 by looking and comparing, again and again, until so many have succeeded."""

    def work(told: Told) -> None:
        c, done = counter(name, using=alias), 0
        while done < times:
            value = c.get()
            done += c.compare_and_set(value, value + 1)

    return work


def changing(alias: str, name: str, *, seconds: float) -> Callable[[Told], None]:
    """Add, set, compare and set, and look; tell what came of each."""

    def work(told: Told) -> None:
        c, chance = counter(name, using=alias, minimum=0), random.Random(os.getpid())
        until = time.monotonic() + seconds
        seen = 0
        while time.monotonic() < until:
            op_id = secrets.token_hex(8)
            what, number, call = _chosen(chance, seen)
            began = told.begins(f"{op_id} {what}", number)
            try:
                answer, seen = call(c, op_id)
            except CoordinationError as error:
                if error.applied is None:
                    continue
                answer = "exceeded" if error.code == "bound_exceeded" else "refused"
            told.ends(f"{op_id} {what}", began=began, token=number, answer=answer)
            pass_time(chance.choice([0.004, 0.012]))

    return work


Verb = Callable[[Counter, str], tuple[str, int]]


def _chosen(chance: random.Random, seen: int) -> tuple[str, int | None, Verb]:
    number = chance.randint(-3, 5)

    def add(c: Counter, op_id: str) -> tuple[str, int]:
        value = c.add(number, op_id=op_id)
        return str(value), value

    def get(c: Counter, _: str) -> tuple[str, int]:
        value = c.get()
        return str(value), value

    def put(c: Counter, op_id: str) -> tuple[str, int]:
        value = c.set(abs(number), op_id=op_id)
        return str(value), value

    def compare(c: Counter, op_id: str) -> tuple[str, int]:
        written = c.compare_and_set(seen, seen + 1, op_id=op_id)
        return ("written", seen + 1) if written else ("mismatch", c.get())

    verbs: Mapping[int, tuple[str, int | None, Verb]] = {
        0: ("add", number, add),
        1: ("get", None, get),
        2: ("set", abs(number), put),
        3: (f"compare_and_set {seen}", seen + 1, compare),
    }
    return verbs[chance.choice([0, 0, 0, 1, 1, 2, 3, 3, 3])]


def history_of(agent: Agent, repeat: Callable[[str, str, int | None], str | None]) -> list[Call]:
    """What it did. `repeat` asks once more for a call that got no answer; None if it cannot."""
    told = agent.told()
    ended = {line["what"] for line in told if "ended" in line}
    calls = [_ended(agent, line) for line in told if "ended" in line]
    for line in told:
        if "ended" not in line and line["what"] not in ended:
            op_id, _, what = line["what"].partition(" ")
            known = {"process": str(agent.pid), "what": what, "token": line["token"]}
            answer = repeat(op_id, what, line["token"])
            if answer is None:
                calls.append(Call(**known, answer=UNSEEN, began=line["at"]))
            else:
                # The first copy of it took effect, or this one: at any time between the two.
                end = time.monotonic()
                calls.append(Call(**known, answer=answer, began=line["at"], ended=end))
    # What was not applied could have been left out.
    return [call for call in calls if call.answer != "refused"]


def _ended(agent: Agent, line: dict[str, Any]) -> Call:
    return Call(
        process=str(agent.pid),
        what=line["what"].partition(" ")[2],
        token=line["token"],
        answer=line["answer"],
        began=line["began"],
        ended=line["ended"],
    )
