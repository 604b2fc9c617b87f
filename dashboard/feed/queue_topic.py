"""What one socket is told of one queue: whatever part of it changed, whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dashboard.feed.topics import Frame, Numbered

if TYPE_CHECKING:
    from dashboard.feed.hub import Hub
    from dashboard.feed.queue_story import QueueStory


class QueueTopic(Numbered):
    """One queue: its record, and of its rates, messages and sweeps what became another."""

    def __init__(self, story: QueueStory) -> None:
        super().__init__(f"queue:{story.key}")
        self.story = story
        self._stamp = -1
        self._sent: dict[str, Any] = {}

    def frame(self, hub: Hub) -> Frame | None:
        story = self.story
        if not story.seeded or (story.stamp == self._stamp and not self.whole):
            return None
        self._stamp = story.stamp
        rows = [story.row.wire_full()] if story.row is not None else []
        past = story.past.wire() if story.past is not None else {}
        if self.whole:
            self._sent = past
            return self._snapshot(hub, rows=rows, agg=past)
        changed = {word: value for word, value in past.items() if self._sent.get(word) != value}
        self._sent = past
        return self._delta(hub, up=rows, agg=changed)

    def release(self, hub: Hub) -> None:
        hub.shelf.release_queue_story(self.story)
