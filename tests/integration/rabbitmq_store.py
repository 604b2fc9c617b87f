"""The run's own RabbitMQ as a store of queues, for tests that harm it."""

import secrets
from collections.abc import Callable

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from config.servers import Servers
from coordination import queue
from coordination.queues.api import Queue
from tests.integration.rabbitmq_node import Node


@pytest.fixture
def node(rabbitmq_url: str, servers: Servers) -> Node:
    return Node(servers, rabbitmq_url)


@pytest.fixture
def configured(settings: Settings) -> Callable[..., None]:
    def configure(location: str, deadline_s: float = 10) -> None:
        store = {"BACKEND": "rabbitmq", "LOCATION": location, "OPTIONS": {"DEADLINE": deadline_s}}
        stores = django_settings.COORDINATION["STORES"]
        settings.COORDINATION = django_settings.COORDINATION | {
            "STORES": stores | {"rabbitmq": store}
        }

    return configure


@pytest.fixture
def q(node: Node, configured: Callable[..., None]) -> Queue:
    configured(node.url)
    return queue(f"test:{secrets.token_hex(4)}", using="rabbitmq")
