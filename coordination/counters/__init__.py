"""Counters: exact sums, each change counted once, on every store."""
