"""Trains a wide CNN in few coordinates: what plain SGD does, at a cost that the embedding size does not set.

A kernel of width 1 sees the table E (V, D) only through E W^T. With an orthonormal basis Q (D, R) of the rows of E,
R at most V, split W (F, D) into A = W Q and the rest W' = W - A Q^T. Then E W^T = (E Q) A^T; the gradient of the loss
with respect to W is (dL/dA) Q^T, and W' has none: weight decay and momentum only scale it, by one number for all of its
entries. So SGD on A and on that one number is SGD on W. This holds for every optimiser that is linear in the gradient
and the weights, with FedProx's term too; it does not hold for Adam.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from common.model import ConceptCNN

REST = "rest"  # the number that scales W'


def basis_of(table: Tensor) -> Tensor | None:
    """Give an orthonormal basis of a table's rows.

    Parameters
    ----------
    table : Tensor
        float32 (V, D).

    Returns
    -------
    Tensor or None
        float64 (D, V - 1), or None where the table has no more columns than rows, so that nothing would be won.
    """
    rows, dimension = table.shape
    if dimension <= rows:
        return None
    basis: Tensor = torch.linalg.qr(table[1:].double().T)[0]
    return basis


class CompactCNN(ConceptCNN):
    """A model whose CNN lives in the coordinates of a basis.

    Parameters
    ----------
    wide : ConceptCNN
        The model as it travels, with a kernel of width 1.
    basis : Tensor
        float64 (D, R), see `basis_of`.
    """

    def __init__(self, wide: ConceptCNN, basis: Tensor) -> None:
        weight = wide.conv.weight.detach()[:, :, 0].double()  # (F, D)
        inside = weight @ basis  # (F, R)
        super().__init__((wide.table.double() @ basis).float(), wide.shape, wide.dropout)
        self.basis, self.outside = basis, weight - inside @ basis.T
        self.rest = nn.Parameter(torch.ones(1))
        self.conv.load_state_dict(wide.conv.state_dict() | {"weight": inside.float()[:, :, None]})
        self.linear.load_state_dict(wide.linear.state_dict())

    def widen_into(self, wide: ConceptCNN) -> None:
        """Write the weights back to the model as it travels."""
        inside = self.conv.weight.detach()[:, :, 0].double()
        weight = inside @ self.basis.T + self.rest.detach().double() * self.outside
        wide.conv.load_state_dict(self.conv.state_dict() | {"weight": weight.float()[:, :, None]})
        wide.linear.load_state_dict(self.linear.state_dict())
