"""Readers and writers."""

from coordination.locks.store import LockStore
from coordination.locks.types import Mode, State, Waiting
from tests.contract.locks.asking import STAY_MS, asked, have, seen


def test_readers_share_and_a_writer_waits_for_all_of_them(store: LockStore, name: str) -> None:
    readers = [asked(name, mode=Mode.SHARED) for _ in range(2)]
    writer, late = asked(name), asked(name, mode=Mode.SHARED)
    tokens = [have(store.acquire(each, stay_ms=0)).token for each in readers]
    assert len(set(tokens)) == 2

    assert isinstance(store.acquire(writer, stay_ms=STAY_MS), Waiting)
    # A reader who comes behind a writer waits, or writers would starve.
    assert isinstance(store.acquire(late, stay_ms=STAY_MS), Waiting)
    store.release(readers[0])
    assert isinstance(store.acquire(writer, stay_ms=STAY_MS), Waiting)
    store.release(readers[1])
    assert have(store.acquire(writer, stay_ms=STAY_MS)).token > max(tokens)
    store.release(writer)
    assert have(store.acquire(late, stay_ms=STAY_MS)).token


def test_readers_at_the_head_of_the_queue_are_handed_the_lock_together(
    store: LockStore, name: str
) -> None:
    writer = asked(name)
    readers = [asked(name, mode=Mode.SHARED) for _ in range(3)]
    store.acquire(writer, stay_ms=0)
    for each in readers:
        store.acquire(each, stay_ms=STAY_MS)
    store.release(writer)

    assert [each.state for each in seen(store, name).holders] == [State.HANDED] * 3
