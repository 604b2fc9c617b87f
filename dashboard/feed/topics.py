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


class _Numbered:
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


class TransactionsTopic(_Numbered):
    """The first page of a filtered list, and the counts of all states."""

    def __init__(self, view: View) -> None:
        super().__init__("transactions")
        self.view = view
        self._sent: dict[str, int] = {}
        self._stamp = -1
        self._counts = -1

    def frame(self, hub: Hub) -> Frame | None:
        view = self.view
        if not view.seeded:
            return None
        if self.whole:
            window = view.window()
            self._sent = {row.gid: row.version for row in window}
            self._stamp, self._counts = view.stamp, hub.board.counts_stamp
            rows = [row.wire() for row in window]
            return self._snapshot(
                hub, rows=rows, capped=view.truncated, agg={"counts": hub.board.counts}
            )
        if view.stamp == self._stamp and hub.board.counts_stamp == self._counts:
            return None
        return self._changes(hub)

    def _changes(self, hub: Hub) -> Frame | None:
        window = self.view.window() if self.view.stamp != self._stamp else None
        up: list[Frame] = []
        gone: list[str] = []
        if window is not None:
            up = [row.wire() for row in window if self._sent.get(row.gid) != row.version]
            present = {row.gid: row.version for row in window}
            gone = [gid for gid in self._sent if gid not in present]
            self._sent, self._stamp = present, self.view.stamp
        agg: Frame = {}
        if hub.board.counts_stamp != self._counts:
            self._counts = hub.board.counts_stamp
            agg = {"counts": hub.board.counts}
        if not (up or gone or agg):
            return None
        return self._delta(hub, up=up, **{"del": gone}, agg=agg)

    def release(self, hub: Hub) -> None:
        hub.release_view(self.view)


class TransactionTopic(_Numbered):
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
        hub.release_story(self.story)


class OverviewTopic(_Numbered):
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
