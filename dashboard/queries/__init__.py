"""Blocking reads of coordination's records into frozen rows; every list is capped."""
