"""Measurements side by side: `python -m bench locks`. They print, and assert nothing."""
