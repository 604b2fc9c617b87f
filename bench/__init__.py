"""Measurements side by side: `python -m bench transactions`. They print, and assert nothing."""
