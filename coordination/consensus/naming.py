"""Which registers are meant by default, and which names are Concord's own."""

from coordination import conf
from coordination.exceptions import InvalidName
from coordination.kernel.settings import DATABASE, ZOOKEEPER

PAXOS = "paxos"
"""What stands for the quorum where the alias of a store could."""
VIEW_NAME = "concord:view:"
"""What the names of the registers of views begin with; nobody else's do."""


def refuse_reserved(name: str) -> str:
    """Return `name` unless it is Concord's own. Raises InvalidName."""
    if isinstance(name, str) and name.startswith(VIEW_NAME):
        raise InvalidName(f"Names of registers that begin with {VIEW_NAME!r} are Concord's own.")
    return name


def default_kind() -> str:
    """Which registers are meant where none are named."""
    settings = conf.current()
    if settings.consensus.acceptors:
        return PAXOS
    able = [each for each in settings.stores.values() if each.backend in (DATABASE, ZOOKEEPER)]
    return able[0].alias if able else settings.default
