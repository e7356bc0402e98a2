"""A finished run, written for TensorBoard: parameters, what happened round by round, results."""
