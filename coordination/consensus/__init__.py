"""Registers that are written once; see README.md."""
