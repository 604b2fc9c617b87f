"""Locks: leases with fencing tokens, handed on in the order of asking."""
