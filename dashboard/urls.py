"""The dashboard's addresses."""

from __future__ import annotations

from django.urls import path, re_path
from django.views.generic import RedirectView

from dashboard.pages import (
    find,
    icon,
    lock,
    locks,
    overview,
    transaction,
    transactions,
    verdict,
    waits,
)
from dashboard.pages.login import Login, Logout

app_name = "dashboard"

_GID = r"(?P<gid>[a-z0-9-]{1,64})"

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("login/", Login.as_view(), name="login"),
    path("logout/", Logout.as_view(), name="logout"),
    path("transactions/", transactions.transactions, name="transactions"),
    re_path(rf"^transactions/{_GID}/$", transaction.transaction, name="transaction"),
    re_path(rf"^transactions/{_GID}/events\.json$", transaction.events, name="transaction-events"),
    re_path(rf"^transactions/{_GID}/retry$", transaction.retry, name="transaction-retry"),
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
