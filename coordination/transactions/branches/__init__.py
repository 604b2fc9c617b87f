"""Branch modes: what prepare and finish mean in a participant's own database."""
