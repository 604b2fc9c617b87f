"""Applications that show Concord at work; nothing in the library imports them."""
