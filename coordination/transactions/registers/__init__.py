"""Where an outcome is decided when not in the transaction's row: write-once registers elsewhere."""
