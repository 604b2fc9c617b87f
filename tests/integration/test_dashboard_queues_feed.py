"""The live feed of queues: lists and pages follow the records, and tell only what changed."""

import time
from collections.abc import Callable

import pytest

from coordination.queues.sweeps.tables import QueueSweep, SweepState, Verb
from tests.integration import dashboard_web
from tests.integration.dashboard_queues import (
    again,
    ago,
    flow,
    in_flight,
    letter,
    record,
    sweep,
)
from tests.integration.dashboard_socket import Frame, Tab, tab
from tests.integration.dashboard_stories import observe
from tests.integration.dashboard_web import Web, session_of, viewer

web, settled = dashboard_web.web, dashboard_web.settled

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "bank_a", "bank_b"]),
    pytest.mark.usefixtures("settled"),
]


@pytest.fixture
def session(transactional_db: None) -> str:
    observe()
    return session_of(viewer())


class Kept:
    """What a page keeps of a topic: applies snapshots and deltas as the script does."""

    def __init__(self, client: Tab, topic: str, **options: str) -> None:
        self.client, self.topic = client, topic
        self.rows: dict[str, Frame] = {}
        self.agg: Frame = {}
        self.frames: list[Frame] = []
        self.seq = self.n = -1
        client.say(t="sub", topic=topic, **options)
        self.step()

    def step(self, within_s: float = 10) -> Frame:
        frame = self.client.next("snap", "d", topic=self.topic, within_s=within_s)
        if frame["t"] == "snap":
            self.rows = {row["id"]: row for row in frame.get("rows", ())}
        else:
            assert (frame["from"], frame["n"]) == (self.seq, self.n + 1)
            self.rows |= {row["id"]: row for row in frame["up"]}
            for gone in frame["del"]:
                self.rows.pop(gone)
        self.agg |= frame["agg"]
        self.seq, self.n = frame["seq"], frame["n"]
        self.frames.append(frame)
        return frame

    def until(self, holds: Callable[["Kept"], bool], *, within_s: float = 10) -> None:
        end = time.monotonic() + within_s
        while not holds(self):
            self.step(within_s=max(0.01, end - time.monotonic()))


def test_a_list_follows_what_was_sampled_and_says_only_what_changed(web: Web, session: str) -> None:
    first, second = record("a", ready=1), record("b", ready=2)
    with tab(web, session) as client:
        kept = Kept(client, "queues", filter="")
        assert {row["name"] for row in kept.rows.values()} == {"a", "b"}
        again(first, ready=7)
        kept.until(lambda kept: kept.rows["redis a"]["ready"] == 7)
        assert [row["id"] for row in kept.frames[-1]["up"]] == ["redis a"]
        record("c", dead=2)
        kept.until(lambda kept: "redis c" in kept.rows)
        assert kept.rows["redis c"]["rank"] == 1
        second.delete()
        kept.until(lambda kept: "redis b" not in kept.rows)
        kept.until(lambda kept: kept.agg["counts"].get("dead") == 1)


def test_a_filtered_list_takes_in_and_lets_go_what_time_alone_changes(
    web: Web, session: str
) -> None:
    row = record("a", ready=4, oldest_s=1)
    with tab(web, session) as client:
        kept = Kept(client, "queues", filter="state:backing_up")
        assert kept.rows == {}
        again(row, oldest_at=ago(45))
        kept.until(lambda kept: "redis a" in kept.rows)
        again(row, oldest_at=None, ready=0)
        kept.until(lambda kept: kept.rows == {})


def test_a_queue_tells_its_record_and_each_part_that_became_another(web: Web, session: str) -> None:
    made = record("emails", ready=3, dead=1)
    flow(made, came=12, acked=10)
    letter(made, "550 no such user")
    with tab(web, session) as client:
        kept = Kept(client, "queue:redis emails")
        assert kept.rows["redis emails"]["ready"] == 3
        assert [each["error"] for each in kept.agg["letters"]] == ["550 no such user"]
        assert kept.agg["flight"] == []
        taken = in_flight(made, left_s=20)
        kept.until(lambda kept: len(kept.agg["flight"]) == 1)
        assert set(kept.frames[-1]["agg"]) <= {"flight", "latest", "buckets"}
        assert kept.agg["flight"][0]["id"] == taken.message
        again(made, dead=9)
        kept.until(lambda kept: kept.rows["redis emails"]["dead"] == 9)


def test_a_sweep_is_told_as_it_goes(web: Web, session: str) -> None:
    made = record("emails", ready=1_000)
    row = sweep(made, Verb.PURGE, SweepState.RUNNING, done=200, at_most=1_000)
    with tab(web, session) as client:
        kept = Kept(client, "queue:redis emails")
        assert kept.agg["sweeps"][0]["done"] == 200
        QueueSweep.objects.filter(op=row.op).update(done=600)
        kept.until(lambda kept: kept.agg["sweeps"][0]["done"] == 600)
        QueueSweep.objects.filter(op=row.op).update(state="done", done=1_000)
        kept.until(lambda kept: kept.agg["sweeps"][0]["state"] == "done")


def test_a_queue_that_nobody_knows_yet_is_told_once_it_is_there(web: Web, session: str) -> None:
    with tab(web, session) as client:
        kept = Kept(client, "queue:redis later")
        assert kept.rows == {}
        record("later", ready=5)
        kept.until(lambda kept: "redis later" in kept.rows)


@pytest.mark.parametrize("topic", ["queue:", "queue:redis", "queue:redis a b", "queue:\x00 a"])
def test_a_topic_that_is_none_closes_the_socket(web: Web, session: str, topic: str) -> None:
    with tab(web, session) as client:
        client.say(t="sub", topic=topic)
        assert client.closed() == 4400
