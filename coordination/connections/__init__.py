"""Connections to servers: the only importers of client libraries.

Each is safe after a fork, puts a deadline on every call, does not retry by itself, and translates
its client's errors to ``coordination.exceptions`` in one place.
"""
