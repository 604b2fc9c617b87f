"""What a message costs from publishing to its ack, and how long it takes, beside other ways."""

from bench.queues.measuring import measure

__all__ = ["measure"]
