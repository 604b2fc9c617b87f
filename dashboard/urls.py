"""The dashboard's addresses."""

from __future__ import annotations

from django.urls import path, re_path
from django.views.generic import RedirectView

from dashboard.pages import (
    counter,
    counters,
    find,
    icon,
    lock,
    locks,
    message,
    overview,
    queue,
    queue_acts,
    queues,
    transaction,
    transactions,
    verdict,
    waits,
)
from dashboard.pages.login import Login, Logout

app_name = "dashboard"

# A name may hold slashes, so what is done to a queue cannot stand behind it.
_OF_QUEUE = {
    "queue": ("queues", queue.queue),
    "queue-pause": ("queue-paused", queue_acts.PAUSE_IT),
    "queue-resume": ("queue-resumed", queue_acts.RESUME_IT),
    "queue-redrive": ("queue-redriven", queue_acts.REDRIVE_IT),
    "queue-move": ("queue-moved", queue_acts.MOVE_IT),
    "queue-purge": ("queue-purged", queue_acts.PURGE_IT),
    "queue-go-on": ("queue-sweep-resumed", queue_acts.GO_ON),
    "queue-stop": ("queue-sweep-stopped", queue_acts.STOP),
}
_OF_MESSAGE = {
    "message": ("message", message.message),
    "message-requeue": ("message-requeued", message.REQUEUE),
    "message-transfer": ("message-moved", message.TRANSFER),
    "message-discard": ("message-discarded", message.DISCARD),
}
_GID = r"(?P<gid>[a-z0-9-]{1,64})"

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("login/", Login.as_view(), name="login"),
    path("logout/", Logout.as_view(), name="logout"),
    path("transactions/", transactions.transactions, name="transactions"),
    re_path(rf"^transactions/{_GID}/$", transaction.transaction, name="transaction"),
    re_path(rf"^transactions/{_GID}/events\.json$", transaction.events, name="transaction-events"),
    re_path(rf"^transactions/{_GID}/retry$", transaction.retry, name="transaction-retry"),
    re_path(
        rf"^transactions/{_GID}/retry-all$", transaction.retry_all, name="transaction-retry-all"
    ),
    re_path(
        rf"^transactions/{_GID}/acknowledge$",
        transaction.acknowledge,
        name="transaction-acknowledge",
    ),
    re_path(rf"^transactions/{_GID}/resolve$", transaction.resolve, name="transaction-resolve"),
    path("find", find.find, name="find"),
    path("favicon.ico", icon.favicon, name="favicon"),
    path("locks/", locks.locks, name="locks"),
    # A name may hold slashes, so what is done to a lock cannot stand behind it.
    path("locks/<str:store>/<slug:kind>/<path:name>", lock.lock, name="lock"),
    path("locks/<str:store>/<slug:kind>/", lock.lock, name="lock-odd"),
    path("release-asked/<str:store>/<slug:kind>/<path:name>", lock.ask, name="lock-ask"),
    path("release-asked/<str:store>/<slug:kind>/", lock.ask, name="lock-ask-odd"),
    path("release-forced/<str:store>/<slug:kind>/<path:name>", lock.force, name="lock-force"),
    path("release-forced/<str:store>/<slug:kind>/", lock.force, name="lock-force-odd"),
    path("counters/", counters.counters, name="counters"),
    path("counters/<str:store>/<path:name>", counter.counter, name="counter"),
    path("counters/<str:store>/", counter.counter, name="counter-odd"),
    path("counter-adjusted/<str:store>/<path:name>", counter.adjust, name="counter-adjust"),
    path("counter-adjusted/<str:store>/", counter.adjust, name="counter-adjust-odd"),
    path("counter-reset/<str:store>/<path:name>", counter.reset, name="counter-reset"),
    path("counter-reset/<str:store>/", counter.reset, name="counter-reset-odd"),
    path("queues/", queues.queues, name="queues"),
    *(
        path(f"{word}/<str:store>/<path:name>", view, name=name)
        for name, (word, view) in _OF_QUEUE.items()
    ),
    *(
        path(f"{word}/<str:store>/", view, name=f"{name}-odd")
        for name, (word, view) in _OF_QUEUE.items()
    ),
    *(
        path(f"{word}/<str:store>/<str:message_id>", view, name=name)
        for name, (word, view) in _OF_MESSAGE.items()
    ),
    path("waits/", waits.waits, name="waits"),
    path(
        "verdicts/",
        RedirectView.as_view(pattern_name="dashboard:verdict"),
        {"name": "atomicity"},
        name="verdicts",
    ),
    path("verdicts/<slug:name>/", verdict.show, name="verdict"),
    path("verdicts/<slug:name>/acknowledge", verdict.acknowledge, name="verdict-acknowledge"),
]
