"""A hospital's table of encounters: how its site file declares it, and how it becomes tokens and labels."""

from client.cohorts.cohort import Cohort, Split, Unknown, read_cohort

__all__ = ["Cohort", "Split", "Unknown", "read_cohort"]
