"""Distributed transactions: applied in every database, or in none."""
