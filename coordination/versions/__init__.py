"""Optimistic concurrency: nothing is locked; whoever read an older version may not write."""
