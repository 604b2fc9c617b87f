"""COORDINATION, as a project writes it, to ``Settings``: every fault named with its path."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from coordination.exceptions import InvalidArgument
from coordination.kernel.durations import to_ms
from coordination.kernel.names import NODE_PATTERN
from coordination.kernel.nearest import unknown_message
from coordination.kernel.settings import (
    DATABASE,
    RABBITMQ,
    REDIS,
    ZOOKEEPER,
    LockSettings,
    QueueSettings,
    Route,
    Settings,
    StoreSettings,
    TransactionSettings,
)

DEFAULT_NODE = "local"
OP_ID_TTL_S = 86_400
_ROOT = "COORDINATION"
_KEYS = (
    *("NODE", "STORES", "ROUTES", "DEFAULT", "TRANSACTIONS", "PARTICIPANTS", "LOCKS", "QUEUES"),
    *("OP_ID_TTL", "CONTINUATIONS", "FAILPOINTS"),
)
_TRANSACTION_KEYS = (
    *("USING", "REGISTER", "MAILBOX", "REMOTE_VOTES", "DEADLINE", "PATIENCE", "POLL"),
    *("ARGUMENTS_BYTES_MAX", "BRANCHES_PER_MESSAGE"),
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


class SettingsFault(ValueError):
    """COORDINATION is not valid; the message names the key, the value and the rule."""


def parse_settings(raw: object) -> Settings:
    """Return the frozen settings of a COORDINATION dict.

    Raises:
        SettingsFault: a key is unknown, a value breaks its rule, or two values do not fit.
    """
    top = _table(raw, _ROOT, _KEYS)
    stores = _stores(top.get("STORES", {DATABASE: {"BACKEND": DATABASE}}))
    default = _default(top, stores)
    return Settings(
        node=_node(top.get("NODE", DEFAULT_NODE), f"{_ROOT}['NODE']"),
        stores=stores,
        routes=_routes(top.get("ROUTES", ()), stores),
        default=default,
        transactions=_transactions(top.get("TRANSACTIONS", {}), stores, default),
        participants=_participants(top.get("PARTICIPANTS", ())),
        locks=_locks(top.get("LOCKS", {})),
        queues=_queues(top.get("QUEUES", {})),
        op_id_ttl_ms=_duration(top, "OP_ID_TTL", OP_ID_TTL_S, _ROOT),
        continuations=_texts(top.get("CONTINUATIONS", ()), f"{_ROOT}['CONTINUATIONS']"),
        failpoints=_flag(top, "FAILPOINTS", default=False, where=_ROOT),
    )


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
    raw: object, stores: Mapping[str, StoreSettings], default: str
) -> TransactionSettings:
    where = f"{_ROOT}['TRANSACTIONS']"
    table = _table(raw, where, _TRANSACTION_KEYS)
    register = _text(table, "REGISTER", DATABASE, where)
    _require_known("register", register, (DATABASE,), f"{where}['REGISTER']")
    return TransactionSettings(
        using=_text(table, "USING", "default", where),
        register=register,
        mailbox=_mailbox(table, stores, default, where),
        remote_votes=_flag(table, "REMOTE_VOTES", default=False, where=where),
        deadline_ms=_duration(table, "DEADLINE", 10, where),
        patience_ms=_duration(table, "PATIENCE", 2, where),
        poll_ms=_duration(table, "POLL", 1, where),
        arguments_bytes_max=_count(table, "ARGUMENTS_BYTES_MAX", 64 * 1024, where),
        branches_per_message=_count(table, "BRANCHES_PER_MESSAGE", 64, where),
    )


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


# One rule each, below.


def _table(raw: object, where: str, known: Sequence[str]) -> Mapping[str, object]:
    if not isinstance(raw, Mapping):
        raise SettingsFault(f"{where} must be a dict, not {raw!r:.80}.")
    for key in raw:
        _require_known("key", key, known, where)
    return raw


def _require_known(what: str, word: object, known: Collection[str], where: str) -> None:
    if not isinstance(word, str) or word not in known:
        raise SettingsFault(f"{where}: {unknown_message(what, word, known)}")


def _text(table: Mapping[str, object], key: str, default: str | None, where: str) -> str:
    value = table.get(key, default)
    if not isinstance(value, str) or not value:
        needed = "is needed" if key not in table else f"must be a str, not {value!r:.80}"
        raise SettingsFault(f"{where}[{key!r}] {needed}.")
    return value


def _texts(raw: object, where: str) -> tuple[str, ...]:
    if not isinstance(raw, list | tuple) or not all(isinstance(item, str) and item for item in raw):
        raise SettingsFault(f"{where} must be a list of str, not {raw!r:.80}.")
    return tuple(raw)


def _tuples(raw: object, where: str, size: int) -> list[tuple[str, tuple[str, ...]]]:
    if not isinstance(raw, list | tuple):
        raise SettingsFault(f"{where} must be a list of tuples, not {raw!r:.80}.")
    found = []
    for index, item in enumerate(raw):
        texts = isinstance(item, list | tuple) and all(isinstance(part, str) for part in item)
        if not texts or len(item) != size:
            raise SettingsFault(f"{where}[{index}] must be {size} str, not {item!r:.80}.")
        found.append((f"{where}[{index}]", tuple(item)))
    return found


def _node(value: object, where: str) -> str:
    if not isinstance(value, str) or NODE_PATTERN.fullmatch(value) is None:
        raise SettingsFault(
            f"{where}: a node is 1 to 16 of a-z, 0-9 and '-', not starting with '-'; "
            f"not {value!r:.80}."
        )
    return value


def _duration(
    table: Mapping[str, object], key: str, default_s: int, where: str, *, zero: bool = False
) -> int:
    try:
        return to_ms(table.get(key, default_s), what=f"{where}[{key!r}]", zero=zero)
    except InvalidArgument as fault:
        raise SettingsFault(str(fault)) from None


def _count(table: Mapping[str, object], key: str, default: int, where: str) -> int:
    value = table.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SettingsFault(f"{where}[{key!r}] must be an int of at least 1, not {value!r:.80}.")
    return value


def _flag(table: Mapping[str, object], key: str, *, default: bool, where: str) -> bool:
    value = table.get(key, default)
    if not isinstance(value, bool):
        raise SettingsFault(f"{where}[{key!r}] must be True or False, not {value!r:.80}.")
    return value


def _safe(location: str) -> str:
    """A location without what may be a password."""
    return repr(location.rpartition("@")[2][:80])
