"""What stands in ZooKeeper's tree, and what is read from it."""

from dataclasses import replace

import pytest

from coordination.connections.zookeeper_requests import Stat
from coordination.locks.stores.zookeeper.claims import (
    Claim,
    asking,
    counter_of,
    epoch_of,
    token_of,
    unpacked,
)
from coordination.locks.stores.zookeeper.paths import (
    WORN_OUT,
    Tree,
    claim_prefix,
    in_order,
    unquoted,
    worn_out,
)
from coordination.locks.types import Kind, Mode, Request, Resource, State

REQUEST = Request(
    resource=Resource(Kind.LOCK, "order:42"),
    id="1f",
    mode=Mode.EXCLUSIVE,
    ttl_ms=30_000,
    owner="me",
    context="test",
    metadata='{"why": "test"}',
    kept_ms=1_000,
)
BORN = Stat(*(5, 5, 1_000, 1_000), *(0, 0, 0), *(7, 0, 0), 5)


@pytest.mark.parametrize("name", ["a/b", "a.b", ".", "..", "/", "ä:b", "%2F", "zookeeper", "a@b,c"])
def test_any_name_is_one_node(name: str) -> None:
    path = Tree("/shop").name(Resource(Kind.LOCK, name))

    parent, _, node = path.rpartition("/")
    assert parent == "/shop/concord/lock"
    assert node not in ("", ".", "..")
    assert unquoted(node) == name


def test_what_is_below_a_root_is_made_from_the_root_on() -> None:
    assert Tree("").lasting[0] == "/concord"
    assert Tree("/a/b").lasting[:3] == ("/a", "/a/b", "/a/b/concord")


def test_claims_are_in_the_order_of_their_numbers_and_tell_who_asked_how() -> None:
    nodes = [
        claim_prefix("late-one", Mode.PERMIT, 5) + "0000000010",
        claim_prefix("first/one", Mode.SHARED, 1) + "0000000009",
        "not-a-claim",
    ]

    first, late = in_order(nodes)

    assert (first.id, first.mode, first.limit) == ("first/one", Mode.SHARED, 1)
    assert (late.id, late.mode, late.limit) == ("late-one", Mode.PERMIT, 5)


def test_numbers_that_come_to_their_end_are_noticed_long_before() -> None:
    """Beyond the last, ZooKeeper gives the same number for ever, and there is no order."""
    prefix = claim_prefix("a", Mode.EXCLUSIVE, 1)
    assert not worn_out(in_order([f"{prefix}{WORN_OUT - 1}"]))
    assert worn_out(in_order([f"{prefix}{WORN_OUT}"]))
    assert not worn_out([])


def test_a_record_is_read_as_it_was_written() -> None:
    record = replace(asking(REQUEST, stay_ms=5_000), state=State.HELD, epoch=3, base=100)
    assert unpacked(record.packed()) == record


def test_a_claim_lasts_from_the_last_write_of_its_node() -> None:
    record = asking(REQUEST, stay_ms=5_000)
    assert Claim("/a", record, BORN).until_ms == 6_000
    assert Claim("/a", record, BORN._replace(mtime_ms=3_000)).until_ms == 8_000


def test_who_asks_for_a_lease_back_does_not_make_it_longer() -> None:
    held = replace(asking(REQUEST, stay_ms=0), state=State.HELD, lasts_ms=30_000, epoch=0, base=9)
    claim = Claim("/a", held, BORN)
    asked_back = replace(claim.settled(), until_ms=claim.until_ms, revoked_at_ms=2_000)

    later = Claim("/a", asked_back, BORN._replace(mtime_ms=9_000, mzxid=77))

    assert (later.until_ms, later.token, later.since_ms) == (31_000, claim.token, 1_000)


def test_a_token_is_counted_from_the_base_of_its_own_epoch_alone() -> None:
    zxid = (4 << 32) + 17
    assert (epoch_of(zxid), counter_of(zxid)) == (4, 17)
    assert token_of(zxid, epoch=4, base=1_000) == 1_017
    assert token_of(zxid, epoch=3, base=1_000) is None
