"""Where locks live, one module a technology."""
