"""What RabbitMQ refuses, and what becomes of a connection, as errors of ours."""

from coordination.exceptions import CoordinationError

NOT_FOUND, ACCESS_REFUSED, PRECONDITION_FAILED = 404, 403, 406


class RabbitMQLost(CoordinationError):
    """There is no connection, or it ended before the answer came."""


class RabbitMQRefused(CoordinationError):
    """RabbitMQ closed the channel instead of doing what was asked; nothing of it was applied."""

    def __init__(self, code: int, text: str, *, store: str | None = None) -> None:
        super().__init__(f"RabbitMQ refused: {code} {text}", store=store, reason=text)
        self.status = code
        """AMQP's own: 403, 404, 405 locked, 406 declared otherwise."""
