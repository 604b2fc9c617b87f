"""The parts of an observer that follow counters: made from the settings of this project."""

from __future__ import annotations

from coordination import conf
from coordination.counters.auditor import CounterAuditor
from coordination.counters.comparing import Comparing
from coordination.counters.importing import Importer
from coordination.counters.pruning import Pruner
from coordination.counters.stores.sources import event_sources, state_readers, unseen


def make_importer() -> Importer:
    """An importer of the events that stores of counters keep themselves."""
    return Importer(conf.current().transactions.using, event_sources())


def make_auditor() -> CounterAuditor:
    """An auditor of this project's counters, which asks their stores as well."""
    using = conf.current().transactions.using
    return CounterAuditor(
        using,
        stores=[source.alias for source in event_sources()],
        comparing=Comparing(using, state_readers()),
        unseen=unseen(),
    )


def make_pruner() -> Pruner:
    """A pruner of their events."""
    return Pruner(conf.current().transactions.using, event_sources())
