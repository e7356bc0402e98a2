"""Secure aggregation: what both sides must agree on, to the bit."""
