"""What one socket is subscribed to: how to say it whole, and how to say what changed since.

A topic remembers only what its client was last told; rows and events stay in the shared views.
Every frame carries `from` and `seq`, feed positions, and `n`, which counts this topic's frames, so
that a client that missed one knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from dashboard.limits import FEED_LINES, PENDING_EVENTS

if TYPE_CHECKING:
    from dashboard.feed.hub import Hub
    from dashboard.feed.lock_story import LockStory
    from dashboard.feed.story import Story
    from dashboard.feed.view import View

Frame = dict[str, Any]


class TooFarBehindError(Exception):
    """The socket takes less than its topic gives; it is closed and starts afresh."""


class Topic(Protocol):
    """One subscription of one socket."""

    name: str
    whole: bool
    """The next frame must be a snapshot."""

    def frame(self, hub: Hub) -> Frame | None:
        """What the client does not know yet; None when it knows everything.

        Raises:
            TooFarBehindError: there is more of it than a client may lag.
        """

    def release(self, hub: Hub) -> None:
        """Let go of the shared state behind the topic."""


class Numbered:
    """Positions and frame numbers of one topic."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.whole = True
        self._seq = 0
        self._n = 0

    def _snapshot(self, hub: Hub, **content: Any) -> Frame:
        self.whole = False
        self._seq, self._n = hub.seq, 0
        head = {"t": "snap", "topic": self.name, "epoch": hub.epoch, "seq": hub.seq, "n": 0}
        return head | content

    def _delta(self, hub: Hub, **content: Any) -> Frame:
        begin, self._seq = self._seq, hub.seq
        self._n += 1
        head = {"t": "d", "topic": self.name, "from": begin, "seq": hub.seq, "n": self._n}
        return head | {"up": [], "del": [], "agg": {}} | content


class ListTopic(Numbered):
    """The first page of a filtered list, and the counts of all states."""

    def __init__(self, name: str, view: View[Any]) -> None:
        super().__init__(name)
        self.view = view
        self._sent: dict[str, object] = {}
        self._stamp = -1
        self._counts = -1

    def frame(self, hub: Hub) -> Frame | None:
        view, counts = self.view, hub.board.counts[self.name]
        if not view.seeded:
            return None
        if self.whole:
            window = view.window()
            self._sent = {row.id: row.edition for row in window}
            self._stamp, self._counts = view.stamp, counts.stamp
            rows = [row.wire() for row in window]
            return self._snapshot(
                hub, rows=rows, capped=view.truncated, agg={"counts": counts.value or {}}
            )
        if view.stamp == self._stamp and counts.stamp == self._counts:
            return None
        return self._changes(hub)

    def _changes(self, hub: Hub) -> Frame | None:
        window = self.view.window() if self.view.stamp != self._stamp else None
        up: list[Frame] = []
        gone: list[str] = []
        if window is not None:
            up = [row.wire() for row in window if self._sent.get(row.id) != row.edition]
            present = {row.id: row.edition for row in window}
            gone = [name for name in self._sent if name not in present]
            self._sent, self._stamp = present, self.view.stamp
        agg: Frame = {}
        counts = hub.board.counts[self.name]
        if counts.stamp != self._counts:
            self._counts = counts.stamp
            agg = {"counts": counts.value}
        if not (up or gone or agg):
            return None
        return self._delta(hub, up=up, **{"del": gone}, agg=agg)

    def release(self, hub: Hub) -> None:
        hub.shelf.release_view(self.name, self.view)


class LockTopic(Numbered):
    """One lock: its record, and its grants and refusals whenever they changed."""

    def __init__(self, story: LockStory) -> None:
        super().__init__(f"lock:{story.key}")
        self.story = story
        self._stamp = self._past = -1

    def frame(self, hub: Hub) -> Frame | None:
        story = self.story
        if not story.seeded or (story.stamp == self._stamp and not self.whole):
            return None
        rows = [story.row.wire_full()] if story.row is not None else []
        past: Frame = {}
        if self.whole or story.past_stamp != self._past:
            past = {
                "grants": [grant.wire() for grant in story.grants],
                "refusals": [refusal.wire() for refusal in story.refusals],
            }
        self._stamp, self._past = story.stamp, story.past_stamp
        if self.whole:
            return self._snapshot(hub, rows=rows, agg=past)
        return self._delta(hub, up=rows, agg=past)

    def release(self, hub: Hub) -> None:
        hub.shelf.release_lock_story(self.story)


class WaitsTopic(Numbered):
    """Who waits for whom, whole whenever it changed."""

    def __init__(self) -> None:
        super().__init__("waits")
        self._stamp = -1

    def frame(self, hub: Hub) -> Frame | None:
        found = hub.board.waits
        if found.value is None or (found.stamp == self._stamp and not self.whole):
            return None
        self._stamp = found.stamp
        if self.whole:
            return self._snapshot(hub, agg=found.value)
        return self._delta(hub, agg=found.value)

    def release(self, hub: Hub) -> None:
        """Nothing is shared but the board."""


class TransactionTopic(Numbered):
    """One transaction: its record and every event; events are never merged."""

    def __init__(self, story: Story) -> None:
        super().__init__(f"transaction:{story.gid}")
        self.story = story
        self._version = 0
        self._stamp = -1

    def frame(self, hub: Hub) -> Frame | None:
        story = self.story
        if not story.seeded or (story.stamp == self._stamp and not self.whole):
            return None
        if story.version - self._version > PENDING_EVENTS and not self.whole:
            raise TooFarBehindError
        whole, self._stamp = self.whole, story.stamp
        events = story.since(0 if whole else self._version)
        self._version = story.version
        rows = [story.row.wire_full()] if story.row is not None else []
        sent = [event.wire() for event in events]
        if whole:
            return self._snapshot(hub, rows=rows, ev=sent)
        return self._delta(hub, up=rows, ev=sent)

    def release(self, hub: Hub) -> None:
        hub.shelf.release_story(self.story)


class OverviewTopic(Numbered):
    """The figures of the overview, and the latest events with the number left out."""

    def __init__(self) -> None:
        super().__init__("overview")
        self._stamp = -1
        self._event = 0

    def frame(self, hub: Hub) -> Frame | None:
        board = hub.board
        if board.overview is None:
            return None
        fresh = board.overview_stamp != self._stamp
        lines, gap = self._lines(hub)
        if not (self.whole or fresh or lines):
            return None
        self._stamp = board.overview_stamp
        if self.whole:
            return self._snapshot(hub, agg=board.overview, ev=lines, gap=0)
        return self._delta(hub, agg=board.overview if fresh else {}, ev=lines, gap=gap)

    def _lines(self, hub: Hub) -> tuple[list[Frame], int]:
        ring = hub.ring
        latest: list[Frame] = []
        unseen = 0
        for event in reversed(ring):
            if event.seq <= self._event and not self.whole:
                break
            unseen += 1
            if len(latest) < FEED_LINES:
                latest.append(event.wire())
            elif self.whole:
                break
        if ring:
            self._event = ring[-1].seq
        return latest[::-1], max(0, unseen - len(latest))

    def release(self, hub: Hub) -> None:
        """Nothing is shared but the board."""
