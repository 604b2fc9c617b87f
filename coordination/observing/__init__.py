"""Observation: recorded events become records, roll-ups, verdicts and one ordered feed."""
