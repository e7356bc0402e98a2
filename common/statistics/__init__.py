"""Estimates with their uncertainty: pure functions on labels, probabilities and seeds. See docs/statistics.md.

Letters: N encounters, K models, S seeds, C classes, R replicates of a bootstrap, T thresholds.
"""
