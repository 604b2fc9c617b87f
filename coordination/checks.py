"""System checks of a project's configuration, each with a stable id and a remedy.

``concord.E0xx`` and ``W0xx`` read settings only. ``concord.E1xx`` and ``W1xx`` ask the servers, so
they run only when databases are named (``manage.py check --database default``) and in
``manage.py concord doctor``.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import update_wrapper
from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004
from django.core.exceptions import ImproperlyConfigured

from coordination import conf, failpoints, registry
from coordination.exceptions import NotSupportedByStore
from coordination.kernel.nearest import unknown_message
from coordination.kernel.settings import DATABASE, Settings
from coordination.probes import acceptors as acceptors_probe
from coordination.probes import database as database_probe
from coordination.probes import redis as redis_probe
from coordination.routers import has_locks

TAG = "concord"
OP_ID_TTL_MS_MIN = 86_400_000
_POSTGRESQL, _SQLITE = "postgresql", "sqlite"

Check = Callable[[Settings], Iterator[CheckMessage]]


def _concord(check: Check) -> Callable[..., list[CheckMessage]]:
    """Give a check the parsed settings; without valid ones only E001 speaks."""

    def run(app_configs: object, **_: Any) -> list[CheckMessage]:
        try:
            settings = conf.current()
        except ImproperlyConfigured:
            return []
        return list(check(settings))

    update_wrapper(run, check)
    # Django asks for **kwargs in the signature, and inspect would look at the check's own.
    vars(run).pop("__wrapped__")
    return run


@register(TAG)
def check_settings(app_configs: object, **_: Any) -> list[CheckMessage]:
    """COORDINATION is valid (E001) and names this service (W001)."""
    try:
        conf.current()
    except ImproperlyConfigured as fault:
        return [Error(str(fault), id="concord.E001")]
    if "NODE" in getattr(django_settings, "COORDINATION", {}):
        return []
    return [
        Warning(
            "COORDINATION['NODE'] is not set.",
            hint="Name this service: two services of one name would take each other's messages.",
            id="concord.W001",
        )
    ]


@register(TAG)
@_concord
def check_coordinator(settings: Settings) -> Iterator[CheckMessage]:
    """The coordinator's tables are in a PostgreSQL alias that commits by itself."""
    alias = settings.transactions.using
    where = "COORDINATION['TRANSACTIONS']['USING']"
    if alias not in django_settings.DATABASES:
        message = unknown_message("database", alias, django_settings.DATABASES)
        yield Error(f"{where}: {message}", id="concord.E002")
        return
    if vendor_of(alias) != _POSTGRESQL:
        yield Error(
            f"{where} is {alias!r}, a {vendor_of(alias)} database.",
            hint="Outcomes are decided in PostgreSQL 15 or later: point USING at such an alias.",
            id="concord.E003",
        )
    yield from _transaction_free(alias, f"the coordinator's database {alias!r}")


@register(TAG)
@_concord
def check_participants(settings: Settings) -> Iterator[CheckMessage]:
    """Each registered participant's alias exists and can do what its mode needs."""
    for alias, participants in sorted(participants_by_alias().items()):
        names = ", ".join(sorted(one.name for one in participants))
        if alias not in django_settings.DATABASES:
            message = unknown_message("database", alias, django_settings.DATABASES)
            yield Error(f"Participants {names}: {message}", id="concord.E006")
            continue
        is_xa = any(one.mode == "xa" for one in participants)
        if is_xa and vendor_of(alias) != _POSTGRESQL:
            yield Error(
                f"Participants {names} are mode 'xa' on {alias!r}, a {vendor_of(alias)} database.",
                hint="Only PostgreSQL prepares transactions: subclass coordination.TCC instead.",
                id="concord.E007",
            )
        if alias != settings.transactions.using:
            yield from _transaction_free(alias, f"the participants' database {alias!r}")


@register(TAG)
@_concord
def check_database_stores(settings: Settings) -> Iterator[CheckMessage]:
    """Each database store is in an alias that can keep locks."""
    for store in settings.stores.values():
        if store.backend != DATABASE:
            continue
        where = f"COORDINATION['STORES'][{store.alias!r}]['USING']"
        if store.using not in django_settings.DATABASES:
            message = unknown_message("database", store.using, django_settings.DATABASES)
            yield Error(f"{where}: {message}", id="concord.E015")
        elif (vendor := vendor_of(store.using)) not in (_POSTGRESQL, _SQLITE):
            yield Error(
                f"{where} is {store.using!r}, a {vendor} database.",
                hint="Database stores are in PostgreSQL 15 or later, or beside SQLite.",
                id="concord.E016",
            )
        elif vendor == _SQLITE:
            try:
                registry.sidecar_path(store)
            except NotSupportedByStore as error:
                yield Error(str(error), id="concord.E017")


@register(TAG)
@_concord
def check_acceptors(settings: Settings) -> Iterator[CheckMessage]:
    """The acceptors of registers can be such (E040), each on a server of its own (W041)."""
    from coordination.consensus.checks import check_acceptors as found

    return found(settings)


def _transaction_free(alias: str, what: str) -> Iterator[CheckMessage]:
    database = django_settings.DATABASES[alias]
    if not database.get("AUTOCOMMIT", True):
        yield Error(
            f"AUTOCOMMIT is off on {what}.",
            hint="A branch is prepared outside any transaction: remove AUTOCOMMIT = False.",
            id="concord.E004",
        )
    if database.get("ATOMIC_REQUESTS", False):
        yield Error(
            f"ATOMIC_REQUESTS is on for {what}: every view is already inside atomic(), "
            "where a distributed transaction refuses to begin.",
            hint="Turn it off; or, when the views that use it are all non_atomic_requests, "
            "silence this check.",
            id="concord.E005",
        )


@register(TAG)
@_concord
def check_redis_is_not_shared(settings: Settings) -> Iterator[CheckMessage]:
    """No cache, broker or result backend lives in a store's Redis database."""
    others = list(_redis_users())
    for store in settings.stores.values():
        if not redis_probe.is_redis(store.location):
            continue
        home = redis_probe.identity_of(store.location)
        for user, location in others:
            if redis_probe.identity_of(location) == home:
                yield Error(
                    f"The store {store.alias!r} shares its Redis database with {user}.",
                    hint="Give the store a database of its own, e.g. redis://host/1: "
                    "cache.clear() is FLUSHDB.",
                    id="concord.E009",
                )


def _redis_users() -> Iterator[tuple[str, str]]:
    for alias, cache in django_settings.CACHES.items():
        for location in _listed(cache.get("LOCATION") or ()):
            yield f"CACHES[{alias!r}]", location
    app = celery_app()
    if app is not None:
        for location in _listed(app.conf.broker_url or ()):
            yield "the Celery broker", location
        for location in _listed(app.conf.result_backend or ()):
            yield "the Celery result backend", location


def _listed(locations: str | Iterable[str]) -> Sequence[str]:
    parts = locations.replace(";", ",").split(",") if isinstance(locations, str) else locations
    return [part for part in parts if redis_probe.is_redis(part)]


@register(TAG)
@_concord
def check_celery(settings: Settings) -> Iterator[CheckMessage]:
    """Celery loses no message of ours, takes JSON only and keeps its database connections."""
    app = celery_app()
    if app is None:
        return
    if not app.conf.get("CELERY_DB_REUSE_MAX"):
        yield Warning(
            "CELERY_DB_REUSE_MAX is not set: Celery reconnects to every database around each task.",
            hint="Set CELERY_DB_REUSE_MAX = 10_000 in Django's settings.",
            id="concord.W002",
        )
    yield from _check_tasks(app)
    if not _only_json(app.conf.accept_content):
        yield Error(
            f"Celery accepts {sorted(app.conf.accept_content)}, not JSON alone.",
            hint="Set CELERY_ACCEPT_CONTENT = ['json']: a pickle from the broker can run any code.",
            id="concord.E011",
        )
    visible_s = (app.conf.broker_transport_options or {}).get("visibility_timeout", 0)
    if settings.op_id_ttl_ms < max(OP_ID_TTL_MS_MIN, visible_s * 1000):
        yield _short_op_ids(settings, max(OP_ID_TTL_MS_MIN // 1000, visible_s))


def _check_tasks(app: Any) -> Iterator[CheckMessage]:
    from coordination import tasks  # noqa: F401  registers by import

    ours = sorted(name for name in app.tasks if name.startswith("coordination."))
    for setting, why in (
        ("acks_late", "a killed worker would lose it"),
        ("reject_on_worker_lost", "it would count as done when its worker is killed"),
    ):
        losing = [name for name in ours if not getattr(app.tasks[name], setting)]
        if losing:
            yield Error(
                f"Celery's {setting} is off for {', '.join(losing)}: {why}.",
                hint=f"Set CELERY_TASK_{setting.upper()} = True.",
                id="concord.E010",
            )
    foreign = [name for name in ours if not _only_json([app.tasks[name].serializer])]
    if foreign:
        yield Error(
            f"The tasks {', '.join(foreign)} are not serialised as JSON.",
            hint="Set CELERY_TASK_SERIALIZER = 'json'.",
            id="concord.E011",
        )


def _only_json(content: Iterable[str]) -> bool:
    return set(content) <= {"json", "application/json"}


def _short_op_ids(settings: Settings, least_s: float) -> CheckMessage:
    return Error(
        f"COORDINATION['OP_ID_TTL'] is {settings.op_id_ttl_ms / 1000:g} s, less than {least_s:g} s:"
        " a message the broker delivers again later would be applied twice.",
        hint="Keep answers at least 24 hours and longer than the broker's visibility_timeout.",
        id="concord.E012",
    )


@register(TAG, Tags.security, deploy=True)
@_concord
def check_no_failpoints(settings: Settings) -> Iterator[CheckMessage]:
    """Failpoints, which let a directory kill this process, stay out of production."""
    if settings.failpoints or failpoints.enabled():
        yield Error(
            f"Failpoints are allowed (COORDINATION['FAILPOINTS'] or {failpoints.ENVIRONMENT}).",
            hint="They are for fault tests: remove both in production.",
            id="concord.E013",
        )


@register(TAG)
@_concord
def check_channel_layer(settings: Settings) -> Iterator[CheckMessage]:
    """Channel layers reach other processes, unless this is a development server."""
    for alias, layer in getattr(django_settings, "CHANNEL_LAYERS", {}).items():
        if not django_settings.DEBUG and layer.get("BACKEND", "").endswith("InMemoryChannelLayer"):
            yield Error(
                f"CHANNEL_LAYERS[{alias!r}] is in memory: other processes never hear it.",
                hint="Use channels_redis.core.RedisChannelLayer.",
                id="concord.E014",
            )


@register(TAG, Tags.database)
def check_servers(
    app_configs: object, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """Ask the named databases, and every Redis store, whether they can keep the promises."""
    try:
        settings = conf.current()
    except ImproperlyConfigured:
        return []
    if not databases:
        return []
    found: list[CheckMessage] = []
    for alias in databases:
        found += database_probe.probe(alias, needs_of(settings, alias)).messages
    for store in settings.stores.values():
        if redis_probe.is_redis(store.location):
            found += redis_probe.probe(store.alias).messages
    if settings.consensus.acceptors:
        found += acceptors_probe.probe().messages
    return found


def needs_of(settings: Settings, alias: str) -> frozenset[str]:
    """Return what Concord does in a database: of ``coordinator``, a mode, ``locks``."""
    found = {str(one.mode) for one in participants_by_alias().get(alias, ())}
    if alias == settings.transactions.using:
        found.add("coordinator")
    if has_locks(alias):
        found.add("locks")
    return frozenset(found)


def participants_by_alias() -> dict[str, list[Any]]:
    """Return the participants registered in this process, by the database they work in."""
    from coordination.transactions.participants import registered

    found: dict[str, list[Any]] = {}
    for one in registered().values():
        if one.place is not None:
            continue  # where it works follows from its arguments
        found.setdefault(one.using, []).append(one)
    return found


def vendor_of(alias: str) -> str:
    """Return Django's word for the database's kind, without connecting."""
    from django.db import connections

    return connections[alias].vendor


def celery_app() -> Any | None:
    """Return the project's Celery app; None when it has made none."""
    from celery import current_app

    return None if current_app.main in {None, "default"} else current_app
