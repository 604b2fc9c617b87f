"""The COORDINATION dict as frozen values: what a valid one holds and means.

``parse_settings`` is pure; ``coordination.conf`` alone reads Django's settings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType

REDIS, DATABASE, ZOOKEEPER, RABBITMQ = "redis", "database", "zookeeper", "rabbitmq"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """One configured store."""

    alias: str
    backend: str
    """``redis``, ``database``, ``zookeeper``, ``rabbitmq`` or the dotted path of a class."""
    location: str = ""
    """Its URL or hosts; empty for ``database``."""
    using: str = ""
    """Database alias of a ``database`` store."""
    options: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionSettings:
    """How transactions are coordinated."""

    using: str = "default"
    """Database alias of the coordinator's tables: PostgreSQL."""
    register: str = DATABASE
    """Where outcomes are decided."""
    mailbox: str | None = None
    """Alias of the Redis store that carries decisions to waiters and the feed; None: they poll."""
    deadline_ms: int = 10_000
    """Time a transaction has to be decided when the caller names none."""
    patience_ms: int = 2_000
    """Silence after which the sweeper sends a branch's message again."""
    poll_ms: int = 1_000
    """How often a waiter reads the row, should the mailbox's message be lost."""
    arguments_bytes_max: int = 64 * 1024
    """Largest arguments of one branch, in bytes of JSON."""
    branches_per_message: int = 64
    """Branches of one node that one message asks for: one worker runs their bodies in turn. 1 lets
    as many workers run them at the same time, at the price of a message, a vote and an ending each.
    """
    stuck_ms: int = 30_000
    """How long after its decision a transaction should have ended everywhere."""
    retention_ms: int = 604_800_000
    """How long after its end a transaction is remembered, and what its branches have left in their
    databases. Longer than anything that may still arrive for it."""

    @property
    def patience_s(self) -> float:
        """``patience_ms`` in seconds."""
        return self.patience_ms / 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class LockSettings:
    """Defaults of locks."""

    ttl_ms: int = 30_000
    wait_ms: int | None = 10_000
    """None waits for ever."""
    max_hold_ms: int = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """Defaults of queues."""

    visibility_ms: int = 30_000
    max_attempts: int = 5
    backoff_ms: int = 1_000
    """Pause after the first failed attempt; it doubles with each."""
    backoff_max_ms: int = 600_000
    dedup_window_ms: int = 300_000
    """How long a message with the same `dedup_id` is taken for the same."""
    body_bytes_max: int = 256 * 1024
    """Largest body of one message, in bytes of JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusSettings:
    """The quorum of registers that a majority of independent stores decides."""

    acceptors: tuple[str, ...] = ()
    """Aliases of at least three stores, an odd number; empty: there is no quorum."""
    deadline_ms: int = 2_000
    """Time a call has, with all its attempts, when it names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Names of a primitive that match the pattern live on this store."""

    primitive: str
    pattern: str
    store: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpService:
    """A service that does the part of a participant when it is called by HTTP."""

    url: str
    keys: Mapping[str, str]
    """Ids and secrets shared with it; the first signs."""
    timeout_ms: int
    """How long one call may take, from the first packet to the last."""
    ca: str | None
    """File with the certificates that may sign the service's own; None: the system's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCaller:
    """A service that may call participants of this one by HTTP."""

    keys: Mapping[str, str]
    participants: tuple[str, ...]
    """Patterns of the names that it may call."""

    def may_call(self, name: str) -> bool:
        """Whether it is allowed to call this participant."""
        return any(fnmatchcase(name, pattern) for pattern in self.participants)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of COORDINATION, valid and with every default filled in."""

    node: str
    stores: Mapping[str, StoreSettings]
    routes: tuple[Route, ...]
    default: str
    transactions: TransactionSettings
    participants: tuple[tuple[str, str], ...]
    """Name pattern → node that runs the participant; the first match counts."""
    locks: LockSettings
    queues: QueueSettings
    consensus: ConsensusSettings
    op_id_ttl_ms: int
    peers: Mapping[str, Mapping[str, str]]
    """Node of another project → ids and secrets of the keys shared with it; the first signs."""
    envelope_ttl_ms: int
    """How long a signed message may be under way."""
    http_participants: tuple[tuple[str, HttpService], ...]
    """Name pattern → service that is called for it; the first match counts."""
    http_callers: Mapping[str, HttpCaller]
    """Node → what it may call here."""
    continuations: tuple[str, ...]
    failpoints: bool

    def node_of_participant(self, name: str) -> str | None:
        """Return the node whose workers run the participant; None: this process's registry."""
        for pattern, node in self.participants:
            if fnmatchcase(name, pattern):
                return node
        return None

    def http_service(self, name: str) -> HttpService | None:
        """Return the service that is called for the participant; None: it is not called by HTTP."""
        for pattern, service in self.http_participants:
            if fnmatchcase(name, pattern):
                return service
        return None

    def store_of(self, primitive: str, name: str) -> str:
        """Return the alias of the store where this name of this primitive lives."""
        for route in self.routes:
            if route.primitive == primitive and fnmatchcase(name, route.pattern):
                return route.store
        return self.default
