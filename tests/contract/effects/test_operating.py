"""What operators do between the prepare and the commit of a publication does not undo it."""

from urllib.parse import urlsplit

import amqp
import pytest

from coordination import queue
from coordination.queues.stores.rabbitmq_topology import QUEUE
from coordination.transactions.types import Actual, Outcome, Vote
from tests.databases import ALIASES
from tests.effects import Published, finish, prepare, prepared

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

WORDS = {"actor": "a test", "reason": "to see what becomes of it"}


@pytest.fixture(params=["redis", "postgresql", "sqlite"])
def published(request: pytest.FixtureRequest, transactional_db: None) -> Published:
    return Published(using=request.getfixturevalue(f"{request.param}_queues"))


def test_a_paused_queue_is_a_no(published: Published) -> None:
    published.do()
    published.queue.pause(**WORDS)
    work = published.work()

    ballot = prepare(work)
    finish(work, Outcome.ABORTED)

    assert (ballot.vote, published.seen()) == (Vote.NO, 1)
    assert "paused" in ballot.reason


def test_a_pause_does_not_stop_what_was_prepared(published: Published) -> None:
    work = prepared(published.work())
    published.queue.pause(**WORDS)

    ended = finish(work, Outcome.COMMITTED)

    assert (ended.actual, published.seen()) == (Actual.COMMITTED, 1)


def test_a_purge_does_not_take_what_was_prepared(published: Published) -> None:
    published.do()
    work = prepared(published.work())

    assert published.queue.purge(**WORDS) == 1
    finish(work, Outcome.COMMITTED)

    assert published.seen() == 1


def test_a_smaller_bound_does_not_stop_what_was_prepared(published: Published) -> None:
    published.room = 2
    work = prepared(published.work(units=2))
    queue(published.name, using=published.using).redeclare(max_length=1)

    ended = finish(work, Outcome.COMMITTED)
    published.room = 1

    assert (ended.actual, published.seen()) == (Actual.COMMITTED, 2)


def test_a_queue_that_was_deleted_meanwhile_is_made_anew(
    rabbitmq_queues: str, rabbitmq_url: str, transactional_db: None
) -> None:
    published = Published(using=rabbitmq_queues)
    work = prepared(published.work())
    delete(rabbitmq_url, published.name)

    ended = finish(work, Outcome.COMMITTED)

    assert (ended.actual, published.seen()) == (Actual.COMMITTED, 1)


def test_a_queue_that_was_deleted_before_is_made_anew(
    rabbitmq_queues: str, rabbitmq_url: str, transactional_db: None
) -> None:
    published = Published(using=rabbitmq_queues)
    published.do()
    delete(rabbitmq_url, published.name)

    finish(prepared(published.work()), Outcome.COMMITTED)

    assert published.seen() == 1


def delete(url: str, name: str) -> None:
    parts = urlsplit(url)
    connection = amqp.Connection(
        host=f"{parts.hostname}:{parts.port}",
        userid=parts.username,
        password=parts.password,
        virtual_host="/",
    )
    connection.connect()
    connection.channel().queue_delete(QUEUE + name)
    connection.close()
