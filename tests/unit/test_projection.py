"""The record a transaction's events fold into."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordination.kernel.events import Event
from coordination.transactions.projection import TIMES, Record, State, apply, fold
from tests.unit.transaction_histories import (
    GID,
    History,
    branch,
    histories,
    step,
    two_branches,
)


def record_of(history: History) -> Record:
    record = fold(history.events)
    assert record is not None
    return record


@given(histories())
def test_every_prefix_of_a_history_gives_a_valid_record(events: list[Event]):
    record = None
    for event in events:
        record = apply(record, event)
        unfinished = [b for b in record.branches if b.actual is None]

        assert record.version == event.version
        assert not record.gap
        assert record.waits_for
        assert (record.outcome is None) == (record.decided_at is None)
        assert (record.state is State.VOTING) == (record.outcome is None)
        assert record.ended_at is None or not unfinished
        assert json.loads(json.dumps(record.as_row())) == record.as_row()


@given(histories(), st.data())
def test_a_replay_gives_the_same_record_wherever_it_was_interrupted(
    events: list[Event], data: st.DataObject
):
    cut = data.draw(st.integers(0, len(events)))
    again = data.draw(st.integers(0, cut))

    assert fold(events) == fold(events[again:], fold(events[:cut]))


@given(histories())
def test_a_record_survives_its_row(events: list[Event]):
    record = fold(events)
    assert record is not None
    row = {**record.as_row(), **{name: getattr(record, name) for name in TIMES}}

    assert record == Record.from_row(row)


@given(histories(), st.data())
def test_a_missing_event_marks_the_record_and_stops_nothing(
    events: list[Event], data: st.DataObject
):
    lost = data.draw(st.integers(0, len(events) - 2))
    record = fold([*events[:lost], *events[lost + 1 :]])
    assert record is not None

    assert record.gap
    assert record.version == len(events)
    assert record.ended_at == events[-1].at


def test_an_event_without_what_its_kind_promises_marks_the_record():
    history = two_branches()
    spoilt = replace(history.voted(1, "yes").events[-1], data={"seq": 1})
    record = fold([*history.events[:-1], spoilt])
    assert record is not None

    assert record.gap
    assert record.version == 2


def test_a_vote_leaves_the_branch_prepared_and_asked_for_nothing():
    record = record_of(two_branches().voted(1, "yes"))

    assert record.branches[0].prepared
    assert record.branches[0].phase is None
    assert record.branches[1].phase == "prepare"


def test_a_last_agent_is_asked_when_all_others_have_voted():
    history = History().begun(
        branch(1, "bank.withdraw", "bank_a"), branch(2, "bank.log", "default", form="last")
    )
    before, after = record_of(history), record_of(history.voted(1, "yes"))

    assert before.branches[1].phase is None
    assert before.waits_for == "bank.withdraw on bank_a to vote"
    assert after.branches[1].phase == "prepare"
    assert after.waits_for == "bank.log on default to vote"


def committed() -> History:
    history = two_branches().voted(1, "yes").voted(2, "yes").decided("committed")
    return history.finished(1, "committed")


SENTENCES = {
    "bank.withdraw on bank_a and bank.deposit on bank_b to vote": two_branches(),
    "bank.deposit on bank_b to vote": two_branches().voted(1, "yes"),
    "bank.deposit on bank_b to vote, retry 2 after: no route": (
        two_branches().voted(1, "yes").delayed(2, "prepare", attempt=3, error="no route")
    ),
    "its register to say the outcome": two_branches().voted(1, "yes").voted(2, "yes"),
    "bank.withdraw on bank_a and bank.deposit on bank_b to confirm their commit": (
        two_branches().voted(1, "yes").voted(2, "yes").decided("committed")
    ),
    "bank.deposit on bank_b to confirm its commit": committed(),
    "bank.deposit on bank_b to confirm its commit, retry 4 after: timed out": (
        committed().delayed(2, "finish", attempt=5)
    ),
    "bank.deposit on bank_b to confirm its commit, retry 1": (
        committed().add("branch.sent", seq=2, phase="finish")
    ),
    "bank.deposit on bank_b to confirm its rollback": (
        two_branches()
        .voted(2, "yes")
        .voted(1, "no", actual="aborted", reason="insufficient funds")
        .decided("aborted", reason="bank.withdraw voted no: insufficient funds")
    ),
    "its continuation to be sent": committed().finished(2, "committed"),
    "2 of 2 applied": committed().finished(2, "committed").ended("committed"),
    "1 of 1 applied, 1 read only": (
        two_branches()
        .voted(1, "read_only", actual="read_only")
        .voted(2, "yes")
        .decided("committed")
        .finished(2, "committed")
        .ended("committed")
    ),
    "voted no: bank.withdraw, insufficient funds": (
        two_branches()
        .voted(1, "no", actual="aborted", reason="insufficient funds")
        .decided("aborted", reason="bank.withdraw voted no: insufficient funds")
        .finished(2, "aborted")
        .ended("aborted")
    ),
    "deadline 10 s passed before every vote": (
        two_branches()
        .voted(1, "yes")
        .decided("aborted", reason="deadline", at_s=10.2)
        .finished(1, "aborted")
        .finished(2, "aborted")
        .ended("aborted")
    ),
    "aborted: cancelled by the caller": (
        two_branches()
        .decided("aborted", reason="cancelled by the caller")
        .finished(1, "aborted")
        .finished(2, "aborted")
        .ended("aborted")
    ),
    "ended against its outcome, committed: bank.deposit on bank_b was rolled back": (
        committed().finished(2, "heuristic_rollback").ended("committed", heuristic="mixed")
    ),
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_plain_sentence_says_what_it_waits_for(sentence: str):
    assert sentence == record_of(SENTENCES[sentence]).waits_for


def test_an_acknowledged_heuristic_stays_one_and_says_who():
    history = committed().finished(2, "heuristic_rollback").ended("committed", heuristic="mixed")
    history.add(
        "transaction.resolved", action="acknowledge", reason="paid by hand", actor="m.keller"
    )
    record = record_of(history)

    assert record.state is State.HEURISTIC
    assert record.waits_for.endswith("; acknowledged by m.keller: paid by hand")


def test_the_row_names_every_column():
    row = record_of(two_branches()).as_row()

    assert row["gid"] == GID
    assert row["state"] == "voting"
    assert row["branches"][0]["participant"] == "bank.withdraw"
    assert "args" not in row["branches"][0]


def saga() -> History:
    return History().begun(step(1), step(2, 1), step(3, 2), protocol="saga")


SAGA_SENTENCES = {
    "bank.s1 on bank_a to vote": saga(),
    "bank.s2 on bank_a to vote": saga().voted(1, "yes"),
    "bank.s2 on bank_a to be compensated": (
        saga().voted(1, "yes").voted(2, "yes").decided("aborted").finished(3, "aborted")
    ),
    "bank.s1 on bank_a to be compensated, retry 4 after: timed out": (
        saga()
        .voted(1, "yes")
        .voted(2, "yes")
        .decided("aborted")
        .finished(3, "aborted")
        .finished(2, "aborted")
        .delayed(1, "finish", attempt=5)
    ),
    "bank.s2 on bank_a to be done": (
        History()
        .begun(step(1, form="pivot"), step(2, 1, form="forward"), protocol="saga")
        .voted(1, "yes")
        .decided("committed")
        .finished(1, "committed")
    ),
}


@pytest.mark.parametrize("sentence", SAGA_SENTENCES)
def test_a_saga_waits_for_the_steps_whose_turn_it_is(sentence: str):
    assert record_of(SAGA_SENTENCES[sentence]).waits_for == sentence
