"""Two-phase commit with a register, in every mix of modes and forms that it knows."""

from coordination.transactions.types import Form, Mode, Protocol
from coordination.verification.simulation.chance import Chance
from coordination.verification.simulation.engine.book import Book
from coordination.verification.simulation.engine.kinds import Kind, Shape
from coordination.verification.simulation.engine.rules import Rules
from coordination.verification.simulation.engine.world import EngineWorld
from coordination.verification.simulation.faults import FaultKind, Hazards
from coordination.verification.simulation.scheduler import HOPS_US, Simulation

XA, TCC = Kind(Mode.XA), Kind(Mode.TCC)
LAST, ONE_PHASE = Kind(Mode.XA, Form.LAST), Kind(Mode.XA, Form.ONE_PHASE)

SHAPES = (
    Shape((XA, XA)),
    Shape((XA, XA)),
    Shape((XA, XA, XA)),
    Shape((XA, TCC)),
    Shape((XA, TCC)),
    Shape((TCC, TCC)),
    Shape((TCC, TCC), inline=True),
    Shape((XA, LAST), inline=True),
    Shape((XA, LAST), inline=True),
    Shape((TCC, LAST), inline=True),
    Shape((LAST,), inline=True),
    Shape((ONE_PHASE,)),
)

PLANNED = tuple([kind for kind in FaultKind if kind is not FaultKind.MESSAGE_REORDERED])


class TwoPhase:
    """Adapter of `2pc`, and of what adds to it: `protocol`, with its `book` and its `world`.

    Args:
        kinds: what may fail; everything, where none is given.
        rules: what runs, which may be a mutant's.
        shapes: the branches of its transactions.
    """

    name = "2pc"
    protocol = Protocol.TWO_PHASE
    book: type[Book] = Book
    world: type[EngineWorld] = EngineWorld
    hops_us = HOPS_US
    bound_us = 60_000_000
    """How long after the last fault, and beyond what clocks were set back, all must have ended:
    two rounds of the longest retry."""

    def __init__(
        self,
        kinds: tuple[FaultKind, ...] | None = None,
        *,
        rules: Rules | None = None,
        shapes: tuple[Shape, ...] = SHAPES,
    ) -> None:
        self.kinds = frozenset(FaultKind if kinds is None else kinds)
        self.rules = rules or Rules()
        self.shapes = shapes
        self._planned = PLANNED if kinds is None else kinds
        self._books: dict[tuple[Kind, ...], Book] = {}

    def build(self, sim: Simulation, chance: Chance) -> EngineWorld:
        """A transaction drawn from the seed."""
        shape = chance.pick(self.shapes)
        book = self._books.get(shape.kinds)
        if book is None:
            book = self._books[shape.kinds] = self.book(self.rules, shape.kinds, self.protocol)
        return self.world(sim, chance, book, inline=shape.inline, peers=shape.peers)

    def hazards(self, sim: Simulation) -> Hazards:
        """What may fail in the world that was built."""
        databases = tuple(sim.places)
        prepared = tuple([name for name in databases if name[0] == "d"]) or databases
        return Hazards(
            kinds=self._planned,
            processes=tuple(sim.processes),
            databases=databases,
            clocks=("rows", "rows", "rows", *prepared),
            prepared=prepared,
        )
