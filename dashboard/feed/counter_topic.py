"""One counter on one socket: its record, and its history whenever that changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboard.feed.topics import Frame, Numbered

if TYPE_CHECKING:
    from dashboard.feed.counter_story import CounterStory
    from dashboard.feed.hub import Hub


class CounterTopic(Numbered):
    """One counter: its record, and its changes and rows whenever they changed."""

    def __init__(self, story: CounterStory) -> None:
        super().__init__(f"counter:{story.key}")
        self.story = story
        self._stamp = self._past = -1

    def frame(self, hub: Hub) -> Frame | None:
        """What the client does not know yet; None when it knows everything."""
        story = self.story
        if not story.seeded or (story.stamp == self._stamp and not self.whole):
            return None
        rows = [story.row.wire()] if story.row is not None else []
        past: Frame = {}
        if self.whole or story.past_stamp != self._past:
            past = {
                "changes": [change.wire() for change in story.changes],
                "cells": [cell.wire() for cell in story.cells],
            }
        self._stamp, self._past = story.stamp, story.past_stamp
        if self.whole:
            return self._snapshot(hub, rows=rows, agg=past)
        return self._delta(hub, up=rows, agg=past)

    def release(self, hub: Hub) -> None:
        """Let go of the story."""
        hub.shelf.release_counter_story(self.story)
