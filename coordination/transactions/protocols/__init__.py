"""Commit protocols: one pure module each, with `decision`, `to_prepare` and `to_finish`."""
