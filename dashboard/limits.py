"""Every bound of the dashboard in one place: pages, buffers, sockets, frames. Times in seconds."""

from __future__ import annotations

from typing import Final

# Pages and queries.
PAGE_ROWS: Final = 50
COUNT_MAX: Final = 10_000
"""Counts stop here and are shown as "10,000+"; a count must not cost more than a page."""
QUERY_S: Final = 2.0
STORY_EVENTS: Final = 2_000
"""Events of one transaction on its page."""
VIOLATION_ROWS: Final = 100
ATTENTION_ROWS: Final = 8
INTERVENTION_ROWS: Final = 6
HISTORY_BUCKETS: Final = 60
FILTER_CHARS: Final = 500
FILTER_TERMS: Final = 12
PAYLOAD_CHARS: Final = 20_000
GRANT_ROWS: Final = 60
"""Grants of one lock on its page."""
REFUSAL_ROWS: Final = 20
CHANGE_ROWS: Final = 60
"""Changes of one counter on its page."""
QUEUE_ROWS: Final = 100
"""Waiters of one lock on its page; the number of all is said beside them."""
CONTENDED_ROWS: Final = 500
"""Locks with a queue that the wait-for graph is made of."""
WAIT_ROWS: Final = 400
"""Waits the page lists."""
DEADLOCK_ROWS: Final = 20

SPARK_BUCKETS: Final = 24
"""Of a queue's rates, beside its name in the list."""
RATE_BUCKETS: Final = 60
"""Of a queue's rates, on its own page."""
MESSAGE_ROWS: Final = 50
"""Messages of one queue in each table of its page."""
MESSAGES_LOOKED_AT: Final = 5_000
"""The newest of a queue, among which those in flight and dead are looked for."""
SWEEP_ROWS: Final = 5
BODY_CHARS: Final = 20_000

# Memory of one web process.
RING_EVENTS: Final = 5_000
VIEW_ROWS: Final = 400
"""Rows a live list keeps beyond the page it shows, so that leavers have successors."""
VIEWS: Final = 200
UNFINISHED_ROWS: Final = 2_000
CATCH_UP_EVENTS: Final = 2_000
"""A larger gap than this is not filled event by event but answered by a resync."""
FEED_LINES: Final = 14

# Sockets.
SOCKETS_PER_USER: Final = 10
TOPICS_PER_SOCKET: Final = 8
FRAME_BYTES: Final = 64 * 1024
FRAMES_PER_SECOND: Final = 20
SEND_S: Final = 5.0
HEARTBEAT_S: Final = 5.0
SESSION_CHECK_S: Final = 0.5
FOCUSED_FLUSH_S: Final = 0.05
FLUSH_S: Final = 0.1
PENDING_EVENTS: Final = 5_000
"""A socket this far behind the events of its topic is closed and starts afresh."""

# Readers.
BOARD_S: Final = 1.0
IDLE_BOARD_S: Final = 2.0
FIGURES_SHARE: Final = 10
"""Counting may take one tenth of the time, no more."""
STREAM_BLOCK_S: Final = 2.0
STREAM_BATCH: Final = 500
RECORDS_POLL_S: Final = 1.0

LISTS_REREAD_MS: Final = 10_000
"""Locks are read again this often: a dispute or a lease beyond the tracked ones is no event."""

QUEUES_REREAD_MS: Final = 2_000
"""How a queue stands is sampled, not told by events, so the list is read again this often."""
QUEUE_SILENT_MS: Final = 30_000
"""A sample older than this says nothing of now."""
BACKING_UP_MS: Final = 30_000
"""A queue whose first ready message was published longer ago is backing up."""
QUEUE_BUSY_MS: Final = 60_000
"""An empty queue that was used within this time is flowing, not idle."""

ENDING_MS: Final = 5_000
ENDING_SHARE: Final = 0.25
"""A lease with less than this left, and less than this share of its length, is ending: whoever
renews begins with the first third gone."""

COUNTING_MS: Final = 10_000
"""A counter whose last change is younger than this is counting."""

IN_DOUBT_AFTER_MS: Final = 1_000
"""Prepared and undecided for longer than this counts as in doubt."""
