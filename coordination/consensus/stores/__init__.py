"""The kinds of registers, one file each, and which of them a word means."""

from functools import cache

from django.core.signals import setting_changed

from coordination import conf, registry
from coordination.consensus.acceptors import acceptor_of
from coordination.consensus.naming import PAXOS
from coordination.consensus.store import Registers
from coordination.consensus.stores.paxos import PaxosRegisters
from coordination.consensus.stores.postgresql import PostgresRegisters
from coordination.exceptions import InvalidArgument, NotSupportedByStore
from coordination.kernel.settings import DATABASE, ZOOKEEPER

_made: list[PaxosRegisters] = []


@cache
def quorum() -> PaxosRegisters:
    """The registers of the acceptors that the settings name.

    Raises InvalidArgument when they name none, NotSupportedByStore when one cannot be it.
    """
    settings = conf.current().consensus
    if not settings.acceptors:
        raise InvalidArgument(
            "COORDINATION['CONSENSUS']['ACCEPTORS'] names no stores: Paxos needs at least three."
        )
    acceptors = [acceptor_of(alias) for alias in settings.acceptors]
    made = PaxosRegisters(acceptors, deadline_ms=settings.deadline_ms)
    _made.append(made)
    return made


@cache
def registers_of(using: str) -> Registers:
    """The registers of a store, or of the quorum: "paxos".

    Raises InvalidArgument, or NotSupportedByStore before anything is sent.
    """
    if using == PAXOS:
        return quorum()
    settings = registry.settings_of(using)
    if settings.backend == ZOOKEEPER:
        store = registry.zookeeper_store(using)
        # Only now: kazoo is an extra.
        from coordination.consensus.stores.zookeeper import ZooKeeperRegisters

        return ZooKeeperRegisters(store)
    if settings.backend == DATABASE and registry.vendor_of(settings) == "postgresql":
        return PostgresRegisters(settings)
    raise NotSupportedByStore(
        f"Store {using!r} cannot decide alone: registers live in PostgreSQL, on zookeeper and, "
        "as 'paxos', on a quorum, of which a Redis can be one acceptor.",
        store=using,
    )


def _forget(*, setting: str, **_: object) -> None:
    if setting == "COORDINATION":
        while _made:
            _made.pop().close()
        quorum.cache_clear()
        registers_of.cache_clear()


setting_changed.connect(_forget, dispatch_uid="coordination.consensus")
