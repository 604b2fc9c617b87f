"""What is to run after a decision or a commit is handed to a broker, which may be away."""

from coordination.verification.simulation.events import EventKind
from coordination.verification.simulation.processes import Place
from coordination.verification.simulation.scheduler import Simulation

CONTINUATION = 0
"""Where a branch's signatures have its seq."""


class Broker:
    """Takes what is to be started, and counts how often it was."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.place = Place("broker")
        sim.places["broker"] = self.place
        self.started: dict[int, int] = {}

    def start(self, what: int) -> None:
        """Start the continuation, or what a branch left to be sent after its commit."""
        self.started[what] = self.started.get(what, 0) + 1
        if self.sim.tracing:
            words = f"after the commit of branch {what}" if what else "the continuation"
            self.sim.note(EventKind.STATE, "broker", f"given {words}")
