"""Checkers that replay recorded histories and name the first violation. Pure."""
