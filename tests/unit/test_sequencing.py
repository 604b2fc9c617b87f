"""Which unsequenced events enter the feed, and in which order."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from coordination.kernel.events import Event
from coordination.observing.sequencing import GAP_PATIENCE, Pending, choose
from tests.unit.transaction_histories import START


def pending(identity: int, name: str, version: int) -> Pending:
    event = Event(kind="k", object="transaction", name=name, version=version, at=START, node="bank")
    return Pending(id=identity, event=event)


def places(chosen: tuple[Pending, ...]) -> list[tuple[str, int]]:
    return [(item.event.name, item.event.version) for item in chosen]


@given(st.data())
def test_events_of_one_object_enter_in_version_order_whatever_their_ids(data: st.DataObject):
    names = data.draw(st.lists(st.sampled_from("abc"), max_size=12))
    ids = data.draw(st.permutations(range(len(names))))
    versions: dict[str, int] = {}
    given_events = []
    for identity, name in zip(ids, names, strict=True):
        versions[name] = versions.get(name, 0) + 1
        given_events.append(pending(identity, name, versions[name]))
    choice = choose(given_events, versions={}, now=START)

    assert not choice.held
    for name, last in versions.items():
        of_name = [version for who, version in places(choice.ready) if who == name]
        assert of_name == list(range(1, last + 1))


def test_objects_interleave_by_id():
    events = [pending(4, "a", 2), pending(1, "a", 1), pending(3, "b", 1)]
    choice = choose(events, versions={}, now=START)

    assert places(choice.ready) == [("a", 1), ("b", 1), ("a", 2)]


def test_an_event_waits_for_its_predecessor_and_holds_up_nobody_else():
    events = [pending(1, "a", 3), pending(2, "a", 4), pending(3, "b", 1)]
    choice = choose(events, versions={("transaction", "a"): 1}, now=START + GAP_PATIENCE)

    assert places(choice.ready) == [("b", 1)]
    assert places(choice.held) == [("a", 3), ("a", 4)]


def test_after_a_minute_a_gap_is_given_up():
    events = [pending(1, "a", 3), pending(2, "a", 4)]
    later = START + GAP_PATIENCE + timedelta(microseconds=1)
    choice = choose(events, versions={("transaction", "a"): 1}, now=later)

    assert places(choice.ready) == [("a", 3), ("a", 4)]
    assert not choice.late


def test_an_event_that_arrives_after_its_place_was_given_up_is_late():
    choice = choose([pending(9, "a", 2)], versions={("transaction", "a"): 4}, now=START)

    assert places(choice.ready) == [("a", 2)]
    assert {("transaction", "a")} == choice.late
