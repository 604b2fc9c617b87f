"""COORDINATION, as a project writes it, to ``Settings``: every fault named with its path."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from coordination.kernel.settings import (
    DATABASE,
    RABBITMQ,
    REDIS,
    ZOOKEEPER,
    ConsensusSettings,
    LockSettings,
    QueueSettings,
    Route,
    Settings,
    StoreSettings,
    TransactionSettings,
)
from coordination.kernel.settings_http import http_callers, http_participants
from coordination.kernel.settings_rules import SettingsFault
from coordination.kernel.settings_rules import count as _count
from coordination.kernel.settings_rules import duration as _duration
from coordination.kernel.settings_rules import flag as _flag
from coordination.kernel.settings_rules import keys as _keys
from coordination.kernel.settings_rules import node as _node
from coordination.kernel.settings_rules import require_known as _require_known
from coordination.kernel.settings_rules import safe as _safe
from coordination.kernel.settings_rules import table as _table
from coordination.kernel.settings_rules import text as _text
from coordination.kernel.settings_rules import texts as _texts
from coordination.kernel.settings_rules import tuples as _tuples

__all__ = ["SettingsFault", "parse_settings"]

DEFAULT_NODE = "local"
OP_ID_TTL_S = 86_400
ENVELOPE_TTL_S = 3_600
RETENTION_S = 7 * 86_400
_ROOT = "COORDINATION"
_KEYS = (
    *("NODE", "STORES", "ROUTES", "DEFAULT", "TRANSACTIONS", "PARTICIPANTS", "LOCKS", "QUEUES"),
    *("CONSENSUS", "OP_ID_TTL", "PEERS", "ENVELOPE_TTL", "CONTINUATIONS", "FAILPOINTS"),
    *("HTTP_PARTICIPANTS", "HTTP_CALLERS"),
)
_TRANSACTION_KEYS = (
    *("USING", "REGISTER", "MAILBOX", "DEADLINE", "PATIENCE", "POLL"),
    *("ARGUMENTS_BYTES_MAX", "BRANCHES_PER_MESSAGE", "RETENTION", "STUCK"),
)
_QUEUE_KEYS = (
    *("VISIBILITY", "MAX_ATTEMPTS", "BACKOFF", "BACKOFF_MAX"),
    *("DEDUP_WINDOW", "BODY_BYTES_MAX"),
)
_BACKENDS = (REDIS, DATABASE, ZOOKEEPER, RABBITMQ)
_LEASED = ("lock", "semaphore", "election", "barrier")
# What no implementation of ours could do on that technology; a dotted backend speaks for itself.
_PRIMITIVES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_LEASED, (REDIS, ZOOKEEPER, DATABASE)),
    "optimistic": (REDIS, DATABASE),
    "counter": (REDIS, ZOOKEEPER, DATABASE),
    "queue": (REDIS, DATABASE, RABBITMQ),
}
_OPTIONS: Mapping[str, tuple[str, ...]] = {
    REDIS: ("CONNECT", "DEADLINE"),
    DATABASE: ("CONNECT", "DEADLINE", "LOCATION"),
    ZOOKEEPER: ("CONNECT", "DEADLINE", "SESSION"),
    RABBITMQ: ("CONNECT", "DEADLINE"),
}


def parse_settings(raw: object) -> Settings:
    """Return the frozen settings of a COORDINATION dict.

    Raises:
        SettingsFault: a key is unknown, a value breaks its rule, or two values do not fit.
    """
    top = _table(raw, _ROOT, _KEYS)
    node = _node(top.get("NODE", DEFAULT_NODE), f"{_ROOT}['NODE']")
    stores = _stores(top.get("STORES", {DATABASE: {"BACKEND": DATABASE}}))
    default = _default(top, stores)
    consensus = _consensus(top.get("CONSENSUS", {}), stores)
    settings = Settings(
        node=node,
        stores=stores,
        routes=_routes(top.get("ROUTES", ()), stores),
        default=default,
        transactions=_transactions(top.get("TRANSACTIONS", {}), stores, default, consensus),
        participants=_participants(top.get("PARTICIPANTS", ())),
        locks=_locks(top.get("LOCKS", {})),
        queues=_queues(top.get("QUEUES", {})),
        consensus=consensus,
        op_id_ttl_ms=_duration(top, "OP_ID_TTL", OP_ID_TTL_S, _ROOT),
        peers=_peers(top.get("PEERS", {}), node),
        envelope_ttl_ms=_duration(top, "ENVELOPE_TTL", ENVELOPE_TTL_S, _ROOT),
        http_participants=http_participants(top.get("HTTP_PARTICIPANTS", {}), _ROOT),
        http_callers=http_callers(top.get("HTTP_CALLERS", {}), _ROOT, own=node),
        continuations=_texts(top.get("CONTINUATIONS", ()), f"{_ROOT}['CONTINUATIONS']"),
        failpoints=_flag(top, "FAILPOINTS", default=False, where=_ROOT),
    )
    return _remembered(settings)


def _stores(raw: object) -> Mapping[str, StoreSettings]:
    where = f"{_ROOT}['STORES']"
    if not isinstance(raw, Mapping) or not raw:
        raise SettingsFault(f"{where} must be a dict with at least one store, not {raw!r:.80}.")
    return MappingProxyType({alias: _store(alias, raw[alias], where) for alias in raw})


def _store(alias: object, raw: object, parent: str) -> StoreSettings:
    where = f"{parent}[{alias!r}]"
    if not isinstance(alias, str) or not alias.isidentifier():
        raise SettingsFault(f"{where}: a store's alias must be a str like a Python name.")
    table = _table(raw, where, ("BACKEND", "LOCATION", "USING", "OPTIONS"))
    backend = _text(table, "BACKEND", None, where)
    if "." not in backend:
        _require_known("backend", backend, _BACKENDS, f"{where}['BACKEND']")
    options = table.get("OPTIONS", {})
    if backend in _OPTIONS:
        options = _options(options, f"{where}['OPTIONS']", _OPTIONS[backend])
    elif not isinstance(options, Mapping):
        raise SettingsFault(f"{where}['OPTIONS'] must be a dict, not {options!r:.80}.")
    is_database = backend == DATABASE
    if "USING" in table and not is_database:
        raise SettingsFault(f"{where}['USING'] is for the database backend; use 'LOCATION'.")
    if "LOCATION" in table and is_database:
        raise SettingsFault(f"{where}['LOCATION'] is not for the database backend; use 'USING'.")
    location = "" if is_database else _text(table, "LOCATION", None, where)
    if backend == REDIS and not location.startswith(("redis://", "rediss://", "unix://")):
        raise SettingsFault(
            f"{where}['LOCATION'] must be a redis://, rediss:// or unix:// URL, "
            f"not {_safe(location)}."
        )
    if backend == ZOOKEEPER and (not location.partition("/")[0] or "://" in location):
        raise SettingsFault(
            f"{where}['LOCATION'] must be host:port, several by commas, with the path of a node "
            f"behind them if need be, not {_safe(location)}."
        )
    return StoreSettings(
        alias=alias,
        backend=backend,
        location=location,
        using=_text(table, "USING", "default", where) if is_database else "",
        options=MappingProxyType(dict(options)),
    )


def _options(raw: object, where: str, known: Sequence[str]) -> Mapping[str, object]:
    table = _table(raw, where, known)
    limits: dict[str, object] = {
        key.lower() + "_ms": _duration(table, key, 0, where) for key in table if key != "LOCATION"
    }
    if "LOCATION" in table:
        # Of a store on SQLite: the path of its own file.
        limits["location"] = _text({"LOCATION": str(table["LOCATION"])}, "LOCATION", None, where)
    return limits


def _default(top: Mapping[str, object], stores: Mapping[str, StoreSettings]) -> str:
    fallback = REDIS if REDIS in stores else next(iter(stores))
    alias = _text(top, "DEFAULT", fallback, _ROOT)
    _require_known("store", alias, stores, f"{_ROOT}['DEFAULT']")
    if stores[alias].backend == RABBITMQ:
        raise SettingsFault(
            f"{_ROOT}['DEFAULT'] names the RabbitMQ store {alias!r}, which serves queues only. "
            "Route queues to it in 'ROUTES'."
        )
    return alias


def _routes(raw: object, stores: Mapping[str, StoreSettings]) -> tuple[Route, ...]:
    routes = []
    for where, (primitive, pattern, alias) in _tuples(raw, f"{_ROOT}['ROUTES']", 3):
        _require_known("primitive", primitive, _PRIMITIVES, where)
        _require_known("store", alias, stores, where)
        backend = stores[alias].backend
        if backend in _BACKENDS and backend not in _PRIMITIVES[primitive]:
            able = ", ".join(_PRIMITIVES[primitive])
            raise SettingsFault(f"{where}: a {primitive} cannot live on {backend} (only {able}).")
        routes.append(Route(primitive=primitive, pattern=pattern, store=alias))
    return tuple(routes)


def _transactions(
    raw: object,
    stores: Mapping[str, StoreSettings],
    default: str,
    consensus: ConsensusSettings,
) -> TransactionSettings:
    where = f"{_ROOT}['TRANSACTIONS']"
    table = _table(raw, where, _TRANSACTION_KEYS)
    register = _text(table, "REGISTER", DATABASE, where)
    _check_register(register, stores, consensus, f"{where}['REGISTER']")
    return TransactionSettings(
        using=_text(table, "USING", "default", where),
        register=register,
        mailbox=_mailbox(table, stores, default, where),
        deadline_ms=_duration(table, "DEADLINE", 10, where),
        patience_ms=_duration(table, "PATIENCE", 2, where),
        poll_ms=_duration(table, "POLL", 1, where),
        arguments_bytes_max=_count(table, "ARGUMENTS_BYTES_MAX", 64 * 1024, where),
        branches_per_message=_count(table, "BRANCHES_PER_MESSAGE", 64, where),
        stuck_ms=_duration(table, "STUCK", 30, where),
        retention_ms=_duration(table, "RETENTION", RETENTION_S, where),
    )


def _check_register(
    register: str, stores: Mapping[str, StoreSettings], consensus: ConsensusSettings, where: str
) -> None:
    _require_known("register", register, (DATABASE, "paxos", *stores), where)
    if register == DATABASE:
        return
    if register == "paxos":
        if not consensus.acceptors:
            raise SettingsFault(f"{where} is 'paxos', but CONSENSUS names no ACCEPTORS.")
        return
    backend = stores[register].backend
    if backend not in (DATABASE, ZOOKEEPER):
        raise SettingsFault(
            f"{where}: store {register!r} is {backend}, which cannot decide alone. Name a database "
            "or ZooKeeper store, or 'paxos' with acceptors."
        )


def _remembered(settings: Settings) -> Settings:
    """The same settings. Raises SettingsFault where what may still arrive finds no answer."""
    kept_ms = settings.transactions.retention_ms
    needs = (
        (settings.op_id_ttl_ms, f"{_ROOT}['OP_ID_TTL']"),
        (settings.envelope_ttl_ms, f"{_ROOT}['ENVELOPE_TTL']"),
    )
    for needed_ms, what in needs:
        if kept_ms < needed_ms:
            raise SettingsFault(
                f"{_ROOT}['TRANSACTIONS']['RETENTION'] ({kept_ms / 1000:g} s) is less than {what} "
                f"({needed_ms / 1000:g} s): a message that still may come would find its "
                "transaction forgotten."
            )
    return settings


def _mailbox(
    table: Mapping[str, object], stores: Mapping[str, StoreSettings], default: str, where: str
) -> str | None:
    redis_stores = [alias for alias, store in stores.items() if store.backend == REDIS]
    if "MAILBOX" not in table:
        if default in redis_stores:
            return default
        return redis_stores[0] if redis_stores else None
    if table["MAILBOX"] is None:
        return None
    alias = _text(table, "MAILBOX", None, where)
    _require_known("Redis store", alias, redis_stores, f"{where}['MAILBOX']")
    return alias


def _participants(raw: object) -> tuple[tuple[str, str], ...]:
    pairs = []
    for where, (pattern, node) in _tuples(raw, f"{_ROOT}['PARTICIPANTS']", 2):
        pairs.append((pattern, _node(node, where)))
    return tuple(pairs)


def _peers(raw: object, own: str) -> Mapping[str, Mapping[str, str]]:
    where = f"{_ROOT}['PEERS']"
    if not isinstance(raw, Mapping):
        raise SettingsFault(f"{where} must be a dict of nodes, not a {type(raw).__name__}.")
    peers = {_node(node, where): _keys(keys, f"{where}[{node!r}]") for node, keys in raw.items()}
    if own in peers:
        raise SettingsFault(f"{where} names {own!r}, which is this node itself.")
    return MappingProxyType(peers)


def _locks(raw: object) -> LockSettings:
    where = f"{_ROOT}['LOCKS']"
    table = _table(raw, where, ("TTL", "WAIT", "MAX_HOLD"))
    for_ever = "WAIT" in table and table["WAIT"] is None
    locks = LockSettings(
        ttl_ms=_duration(table, "TTL", 30, where),
        wait_ms=None if for_ever else _duration(table, "WAIT", 10, where, zero=True),
        max_hold_ms=_duration(table, "MAX_HOLD", 3600, where),
    )
    if locks.ttl_ms > locks.max_hold_ms:
        raise SettingsFault(
            f"{where}['TTL'] ({locks.ttl_ms / 1000:g} s) is longer than 'MAX_HOLD' "
            f"({locks.max_hold_ms / 1000:g} s)."
        )
    return locks


def _queues(raw: object) -> QueueSettings:
    where = f"{_ROOT}['QUEUES']"
    table = _table(raw, where, _QUEUE_KEYS)
    queues = QueueSettings(
        visibility_ms=_duration(table, "VISIBILITY", 30, where),
        max_attempts=_count(table, "MAX_ATTEMPTS", 5, where),
        backoff_ms=_duration(table, "BACKOFF", 1, where),
        backoff_max_ms=_duration(table, "BACKOFF_MAX", 600, where),
        dedup_window_ms=_duration(table, "DEDUP_WINDOW", 300, where),
        body_bytes_max=_count(table, "BODY_BYTES_MAX", 256 * 1024, where),
    )
    if queues.backoff_ms > queues.backoff_max_ms:
        raise SettingsFault(
            f"{where}['BACKOFF'] ({queues.backoff_ms / 1000:g} s) is longer than 'BACKOFF_MAX' "
            f"({queues.backoff_max_ms / 1000:g} s)."
        )
    return queues


def _consensus(raw: object, stores: Mapping[str, StoreSettings]) -> ConsensusSettings:
    where = f"{_ROOT}['CONSENSUS']"
    table = _table(raw, where, ("ACCEPTORS", "DEADLINE"))
    aliases = _texts(table.get("ACCEPTORS", ()), f"{where}['ACCEPTORS']")
    homes: dict[str, str] = {}
    for alias in aliases:
        _require_known("store", alias, stores, f"{where}['ACCEPTORS']")
        if stores[alias].backend == RABBITMQ:
            raise SettingsFault(f"{where}['ACCEPTORS']: a RabbitMQ ({alias!r}) keeps no registers.")
        # Two of one server are lost together, and count as two.
        for home in _homes(stores[alias]):
            if other := homes.get(home):
                raise SettingsFault(
                    f"{where}['ACCEPTORS']: {other!r} and {alias!r} are the same server."
                )
            homes[home] = alias
    if aliases and (len(aliases) < 3 or len(aliases) % 2 == 0):
        raise SettingsFault(
            f"{where}['ACCEPTORS'] must be 3, 5, 7… stores, not {len(aliases)}: of three one may "
            "be lost, of four no more than one either."
        )
    if aliases and "paxos" in stores:
        raise SettingsFault(
            f"{_ROOT}['STORES']['paxos']: with acceptors, 'paxos' means their quorum; "
            "give the store another alias."
        )
    deadline_ms = _duration(table, "DEADLINE", 2, where)
    return ConsensusSettings(acceptors=aliases, deadline_ms=deadline_ms)


def _homes(store: StoreSettings) -> set[str]:
    """The servers of a store, as far as its settings tell; databases are compared by a check."""
    if store.backend == DATABASE:
        return {f"database {store.using}"}
    servers = store.location.rpartition("@")[2].partition("://")[2] or store.location
    if store.location.startswith("unix:"):
        return {servers.partition("?")[0]}
    return {host.strip() for host in servers.partition("/")[0].split(",")}
