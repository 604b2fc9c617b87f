"""Moves, redrives and purges that outlive who began them."""
