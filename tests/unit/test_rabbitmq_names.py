"""Where a RabbitMQ is, and how long it keeps a message with a delay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordination.connections.rabbitmq_address import Address, address_of
from coordination.queues.stores.rabbitmq_topology import RUNG_MS_MAX, RUNG_MS_MIN, rung_ms


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("amqp://", Address("localhost", 5672, "guest", "guest", "/", tls=False)),
        ("amqp://h:1//", Address("h", 1, "guest", "guest", "/", tls=False)),
        ("amqp://u:p%40s@h/%2Fshop", Address("h", 5672, "u", "p@s", "/shop", tls=False)),
        ("amqps://u:p@h/shop", Address("h", 5671, "u", "p", "shop", tls=True)),
    ],
)
def test_an_address_is_read_from_its_url(url: str, address: Address) -> None:
    assert address_of(url) == address
    assert "p@s" not in address.shown


def test_another_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="amqp://"):
        address_of("redis://h")


@given(st.integers(1, RUNG_MS_MAX))
def test_a_delay_is_never_cut_short_nor_more_than_half_as_long_again(delay_ms: int) -> None:
    rung = rung_ms(delay_ms)
    assert delay_ms <= rung <= max(RUNG_MS_MIN, delay_ms * 3 / 2 + 1)
