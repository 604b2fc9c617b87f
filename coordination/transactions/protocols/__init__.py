"""Commit protocols: one pure module each, `decision(snapshot)` and `to_prepare(snapshot)`."""
