"""Names, durations, backoff, ids and events: the small pure values."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordination.exceptions import InvalidArgument, InvalidName
from coordination.kernel.backoff import backoff_ms
from coordination.kernel.durations import to_ms
from coordination.kernel.events import Event, parse_event
from coordination.kernel.gids import branch_gid, is_gid, keyed_gid, make_gid, node_of
from coordination.kernel.gids import parse_branch_gid as parse
from coordination.kernel.names import NODE_PATTERN, validate_name
from coordination.kernel.nearest import nearest, unknown_message

nodes = st.from_regex(NODE_PATTERN, fullmatch=True)


@pytest.mark.parametrize("name", ["order:42", "Grüße/ä", "a" * 200, "x.y-z_1"])
def test_a_plain_name_is_accepted_unchanged(name: str) -> None:
    assert validate_name(name) == name


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("", "is empty"),
        ("a b", "space or an unprintable"),
        ("a\x00b", "space or an unprintable"),
        ("ä" * 101, "202 bytes long; at most 200"),
        ("a{b", "reserved character '{'"),
        ("a*", "reserved character '*'"),
        (7, "must be a str, not int"),
        (None, "must be a str, not NoneType"),
    ],
)
def test_a_bad_name_is_refused_with_the_rule_it_breaks(name: object, rule: str) -> None:
    with pytest.raises(InvalidName) as caught:
        validate_name(name, what="lock name")

    assert rule in str(caught.value)
    assert str(caught.value).startswith("lock name")


@pytest.mark.parametrize(
    ("duration", "ms"),
    [(10, 10_000), (0.5, 500), (timedelta(minutes=1), 60_000), (0.0001, 1), (1.0004, 1000)],
)
def test_seconds_become_whole_milliseconds_and_never_zero(duration: object, ms: int) -> None:
    assert to_ms(duration, what="ttl") == ms


@pytest.mark.parametrize(
    "duration",
    [True, "10", None, -1, 0, float("nan"), float("inf"), 1e300, timedelta(seconds=-1), 10**400],
)
def test_what_is_no_duration_is_refused_by_name(duration: object) -> None:
    with pytest.raises(InvalidArgument, match=r"^ttl must be"):
        to_ms(duration, what="ttl")


def test_zero_is_a_duration_only_where_it_means_something() -> None:
    assert to_ms(0, what="wait", zero=True) == 0


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_backoff_stays_between_half_of_the_first_pause_and_the_cap(
    attempt: int, uniform: float
) -> None:
    pause_ms = backoff_ms(attempt, base_ms=100, cap_ms=30_000, uniform=uniform)

    assert 50 <= pause_ms <= 30_000


def test_backoff_doubles_until_the_cap() -> None:
    pauses = [backoff_ms(n, base_ms=100, cap_ms=1000, uniform=0.0) for n in range(1, 7)]

    assert pauses == [50, 100, 200, 400, 500, 500]


@given(nodes, st.integers(0, 2**32 - 1), st.binary(min_size=8, max_size=8), st.integers(1, 32767))
def test_ids_tell_their_parts_again(node: str, seconds: int, chance: bytes, seq: int) -> None:
    gid = make_gid(node, seconds, chance)

    assert is_gid(gid)
    assert len(gid) <= 64
    assert node_of(gid) == node
    assert parse(branch_gid(gid, seq)) == (gid, seq)


@given(nodes, st.text(max_size=20), st.text(max_size=20))
def test_a_keyed_gid_is_a_gid_of_its_node(node: str, name: str, key: str) -> None:
    gid = keyed_gid(node, name, key)

    assert is_gid(gid)
    assert len(gid) <= 64
    assert node_of(gid) == node
    assert parse(branch_gid(gid, 1)) == (gid, 1)


def test_a_keyed_gid_is_the_same_each_time_and_keeps_name_and_key_apart() -> None:
    assert keyed_gid("bank", "pay", "7") == keyed_gid("bank", "pay", "7")
    assert keyed_gid("bank", "pay", "7") != keyed_gid("bank", "pa", "y7")


@pytest.mark.parametrize(
    "foreign",
    ["", "cc:", "other", "cc:bank-1:1", "cc:bank-00000000-0000000000000000:0", "cc:x:y:z",
     "cc:bank-00000000-0000000000000000:32768", "cc:bank-00000000-0000000000000000:1 "],
)  # fmt: skip
def test_foreign_prepared_transactions_are_not_taken_for_ours(foreign: str) -> None:
    assert parse(foreign) is None


@pytest.mark.parametrize(("gid", "seq"), [("bank", 1), ("bank-00000000-0000000000000000", 0)])
def test_no_branch_gid_is_made_of_something_else(gid: str, seq: int) -> None:
    with pytest.raises(InvalidArgument):
        branch_gid(gid, seq)


def test_a_node_that_could_not_start_a_gid_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="Bank"):
        make_gid("Bank", 0, bytes(8))


def test_the_nearest_name_is_offered_and_else_all_of_them() -> None:
    assert nearest("TRANSACTION", ["TRANSACTIONS", "STORES"]) == "TRANSACTIONS"
    assert nearest("node", ["NODE"]) == "NODE"
    assert unknown_message("key", "zzz", ["b", "a"]) == "Unknown key 'zzz'. Known: 'a', 'b'."
    assert unknown_message("key", 3, []) == "Unknown key 3. Known: none."


def test_an_event_survives_its_journey_as_json() -> None:
    event = Event(
        kind="branch.voted",
        object="transaction",
        name="bank-1",
        version=3,
        at=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
        node="bank",
        data={"seq": 1},
    )

    assert parse_event(event.as_json()) == event


@pytest.mark.parametrize(
    "broken", [{"kind": None}, {"version": 0}, {"version": True}, {"at": "2026-01-02"}, {"data": 3}]
)
def test_a_malformed_event_is_refused(broken: dict[str, object]) -> None:
    whole = {
        "kind": "transaction.begun",
        "object": "transaction",
        "name": "bank-1",
        "version": 1,
        "at": "2026-01-02T03:04:05+00:00",
        "node": "bank",
    }

    with pytest.raises(ValueError, match="of an event"):
        parse_event(whole | broken)
