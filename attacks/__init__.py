"""Attacks on what a federation shares: what weights say of the encounters that they were learnt from.

Imports both sides; nobody imports it. Letters: M models, N encounters of a pool, L columns of an encounter, V rows of
the table, D embedding size, F filters, C outputs, T batches.
"""
