"""Protocols under a seeded scheduler: virtual time, faults of every kind, failures that replay."""
