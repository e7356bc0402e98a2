"""Training of several models at once on one site's data: to the bit what each does alone, at a fraction of the time.

Letters: M models, N encounters of a split, T steps, B encounters of a batch, L tokens, V rows of the table,
R columns of the table that training sees, F filters, C outputs (classes or labels).
"""

from client.together.training import train_steps_together, train_together

__all__ = ["train_steps_together", "train_together"]
