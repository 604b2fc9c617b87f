"""The simulator: its promises, and what it finds."""
