"""Fencing: data that compares tokens, so that a former holder of a lock cannot write it."""
