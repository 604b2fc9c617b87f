"""Models of the protocols whose outcome is in registers: every state is looked at."""
