"""Pure values and calculations: no Django, no client library, no clock, no randomness."""
