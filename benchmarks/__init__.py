"""Benchmarks: figures are ratios of two ways, measured in turn in one run. `python -m benchmarks` prints the table."""
