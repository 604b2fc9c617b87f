"""Every configured server, asked at the same time, none waited for too long."""

import queue
import threading
import time
from collections.abc import Callable, Mapping

from django.conf import settings as django_settings
from django.db import connections

from coordination import checks, conf
from coordination.probes import Probe, broker, transactions
from coordination.probes import acceptors as acceptors_probe
from coordination.probes import database as database_probe
from coordination.probes import redis as redis_probe

Question = Callable[[], Probe]


def ask_all(*, deadline_ms: int) -> list[Probe]:
    """Return one probe for each database, Redis store, the acceptors and the broker, in this order.

    A server that has not answered when the deadline ends is reported as that, not waited for.
    """
    return ask(_questions(), deadline_ms=deadline_ms)


def ask(questions: Mapping[str, Question], *, deadline_ms: int) -> list[Probe]:
    """Ask all questions in threads of their own and collect what came back in time."""
    answers: queue.SimpleQueue[tuple[str, Probe]] = queue.SimpleQueue()
    for name, question in questions.items():
        # Daemons: one stuck in a frozen server must not keep the process from ending.
        arguments = (name, question, answers)
        threading.Thread(target=_answer, args=arguments, name=name, daemon=True).start()
    until = time.monotonic() + deadline_ms / 1000
    found: dict[str, Probe] = {}
    while len(found) < len(questions):
        try:
            name, probe = answers.get(timeout=max(0.001, until - time.monotonic()))
        except queue.Empty:
            break
        found[name] = probe
    silent = f"no answer within {deadline_ms / 1000:g} s"
    return [
        found.get(name) or Probe(name=name, answered=False, detail=silent) for name in questions
    ]


def _answer(name: str, question: Question, answers: "queue.SimpleQueue[tuple[str, Probe]]") -> None:
    try:
        probe = question()
    except Exception as error:  # noqa: BLE001  an edge: whatever went wrong is the answer
        failure = f"{type(error).__name__}: {error}"
        probe = Probe(name=name, answered=False, detail=failure)
    # Before the answer: who has it may go on to drop the database.
    connections.close_all()
    answers.put((name, probe))


def _questions() -> dict[str, Question]:
    settings = conf.current()
    found: dict[str, Question] = {}
    for alias in django_settings.DATABASES:
        needs = checks.needs_of(settings, alias)
        found[f"database {alias}"] = _bound(database_probe.probe, alias, needs)
    for store in settings.stores.values():
        if redis_probe.is_redis(store.location):
            found[f"redis {store.alias}"] = _bound(redis_probe.probe, store.alias)
    if settings.consensus.acceptors:
        found["acceptors"] = acceptors_probe.probe
    if settings.transactions.using in django_settings.DATABASES:
        found[transactions.NAME] = transactions.probe
    app = checks.celery_app()
    if app is not None:
        found["broker"] = _bound(broker.probe, app)
    return found


def _bound(probe: Callable[..., Probe], *arguments: object) -> Question:
    return lambda: probe(*arguments)
