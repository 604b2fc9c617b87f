"""Forked processes that contend for a lock and write what it guards; each tells what it saw."""

import json
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import psycopg
from django.db import connections

from coordination import lock
from coordination.exceptions import CoordinationError, LockLost, NotOwner
from coordination.locks.grant import Grant
from coordination.verification.linearizability import Call
from tests.contract.locks.asking import pass_time
from tests.integration.forked_child import fork

TABLES = """
CREATE TABLE IF NOT EXISTS test_guarded (name text PRIMARY KEY, token bigint NOT NULL);
CREATE TABLE IF NOT EXISTS test_guarded_log (
    id bigint GENERATED ALWAYS AS IDENTITY, name text, token bigint)
"""
WRITE = "UPDATE test_guarded SET token = %(token)s WHERE name = %(name)s AND token <= %(token)s"


class Resource:
    """A row of PostgreSQL that is written only with a token that is not too old."""

    def __init__(self, name: str) -> None:
        self._name = name
        given = {**connections["default"].get_connection_params(), "autocommit": True}
        known = ("host", "port", "user", "password", "dbname", "autocommit")
        self._connection: psycopg.Connection[Any] = psycopg.connect(
            **{key: value for key, value in given.items() if key in known}
        )

    def make(self) -> None:
        self._connection.execute(TABLES)
        self._connection.execute("INSERT INTO test_guarded VALUES (%s, 0)", [self._name])

    def write(self, token: int) -> bool:
        """Whether the write was accepted."""
        with self._connection.transaction():
            done = self._connection.execute(WRITE, {"token": token, "name": self._name})
            if done.rowcount == 0:
                return False
            remember = "INSERT INTO test_guarded_log (name, token) VALUES (%s, %s)"
            self._connection.execute(remember, [self._name, token])
        return True

    def accepted(self) -> list[int]:
        """The tokens that wrote, in the order of their writes."""
        query = "SELECT token FROM test_guarded_log WHERE name = %s ORDER BY id"
        return [token for (token,) in self._connection.execute(query, [self._name])]

    def close(self) -> None:
        self._connection.close()


@dataclass(slots=True)
class Agent:
    """One child: its pid and the file it writes to."""

    pid: int
    log: Path
    ended: bool = False

    def send(self, number: signal.Signals) -> None:
        if not self.ended:
            os.kill(self.pid, number)

    def wait(self) -> None:
        if not self.ended:
            os.waitpid(self.pid, 0)
            self.ended = True

    def kill(self) -> None:
        if not self.ended:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def told(self) -> list[dict[str, Any]]:
        """What it told so far; a line that it was killed in is left out."""
        lines = self.log.read_text().split("\n")[:-1] if self.log.exists() else []
        return [json.loads(line) for line in lines]

    def calls(self) -> list[Call]:
        """What it did, as far as that changed anything: a busy lock is no news.

        A call that it was killed in may have happened; a grant that it never told of cannot excuse
        what others did.
        """
        found: list[Call] = []
        told = [line for line in self.told() if line["what"] in ("acquire", "release", "write")]
        for line, after in zip_longest(told, told[1:]):
            known = {"process": str(self.pid), "what": line["what"], "token": line["token"]}
            if "ended" not in line:
                unheard = after is None or "ended" not in after
                if unheard and line["what"] != "acquire":
                    found.append(Call(**known, began=line["at"]))
            elif line["answer"] == "unknown":
                found.append(Call(**known, began=line["began"]))
            elif line["answer"] != "busy":
                times = {"began": line["began"], "ended": line["ended"]}
                found.append(Call(**known, answer=line["answer"], **times))
        return found

    def ends(self) -> dict[int, float]:
        """By token, from when on the lease it was granted may have ended."""
        return {line["token"]: line["until"] for line in self.told() if "until" in line}


def start(log: Path, work: Callable[["Told"], None]) -> Agent:
    """Fork a child that does `work`."""

    def child() -> bool:
        work(Told(log))
        return True

    return Agent(fork(child), log)


class Told:
    """What a child tells, a line a fact."""

    def __init__(self, log: Path) -> None:
        self._file = log.open("a", buffering=1)

    def begins(self, what: str, token: int | None = None) -> float:
        now = time.monotonic()
        self._line({"what": what, "token": token, "at": now})
        return now

    def granted(self, grant: Grant, *, began: float) -> None:
        self.ends("acquire", began=began, token=grant.token, until=grant.trusted_until)

    def ends(
        self,
        what: str,
        *,
        began: float,
        token: int | None = None,
        answer: str = "ok",
        **more: float,
    ) -> None:
        times = {"began": began, "ended": time.monotonic()}
        self._line({"what": what, "token": token, "answer": answer, **times, **more})

    def _line(self, facts: dict[str, Any]) -> None:
        self._file.write(json.dumps(facts) + "\n")


def contend(alias: str, name: str, *, ttl: float, seconds: float) -> Callable[[Told], None]:
    """Take the lock again and again, with and without waiting; write; give it back."""

    def work(told: Told) -> None:
        resource, chance = Resource(name), random.Random(os.getpid())
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            began = told.begins("acquire")
            try:
                wait = chance.choice([0, 0.5, 20])
                grant = lock(name, using=alias, ttl=ttl, wait=wait).acquire()
            except CoordinationError:
                pass_time(0.05)
                continue  # what was granted nevertheless is a grant nobody tells of
            if grant is None:
                told.ends("acquire", began=began, answer="busy")
                continue
            told.granted(grant, began=began)
            pass_time(chance.choice([0, 0.001, 0.01]))
            write(told, resource, grant.token)
            give_back(told, grant)

    return work


def hold(alias: str, name: str, *, ttl: float) -> Callable[[Told], None]:
    """Take the lock; after SIGUSR1 tell whether it is still held, write, and give it back."""

    def work(told: Told) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        resource = Resource(name)
        began = told.begins("acquire")
        grant = lock(name, using=alias, ttl=ttl, wait=30).acquire()
        assert grant is not None
        told.granted(grant, began=began)
        signal.sigwait([signal.SIGUSR1])
        began = told.begins("ensure_held", grant.token)
        try:
            grant.ensure_held()
            told.ends("ensure_held", began=began, token=grant.token)
        except LockLost:
            told.ends("ensure_held", began=began, token=grant.token, answer="lost")
        write(told, resource, grant.token)
        give_back(told, grant)

    return work


def write(told: Told, resource: Resource, token: int) -> None:
    began = told.begins("write", token)
    answer = "ok" if resource.write(token) else "stale"
    told.ends("write", began=began, token=token, answer=answer)


def give_back(told: Told, grant: Grant) -> None:
    began = told.begins("release", grant.token)
    try:
        grant.release()
        told.ends("release", began=began, token=grant.token)
    except NotOwner:
        told.ends("release", began=began, token=grant.token, answer="lost")
    except CoordinationError:
        told.ends("release", began=began, token=grant.token, answer="unknown")
