"""Differential privacy of a site's patients: training with noise, what it costs, and a ledger that outlives runs."""
