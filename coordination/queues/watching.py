"""The parts of an observer that follow queues: made from the settings of this project."""

from __future__ import annotations

from coordination import conf
from coordination.queues.auditor import QueueAuditor
from coordination.queues.importing import QueueImporter
from coordination.queues.pruning import QueuePruner
from coordination.queues.sampling import Sampler, aliases
from coordination.queues.stores.counting import counters, uncounted
from coordination.queues.stores.event_sources import event_sources, unseen


def make_importer() -> QueueImporter:
    """An importer of the events that stores of queues keep themselves."""
    return QueueImporter(_using(), event_sources())


def make_sampler() -> Sampler:
    """What asks this project's stores how their queues stand."""
    return Sampler(_using(), aliases())


def make_auditor() -> QueueAuditor:
    """An auditor of this project's queues."""
    return QueueAuditor(
        _using(),
        counters=counters(),
        copied=[source.alias for source in event_sources()],
        uncounted=uncounted(),
        unseen=unseen(),
    )


def make_pruner() -> QueuePruner:
    """A pruner of their events."""
    return QueuePruner(_using())


def _using() -> str:
    return conf.current().transactions.using
