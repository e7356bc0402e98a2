"""Pooled filters of whole splits, and validation AUROC: the same numbers as `client.training` gives, sooner."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from client.held_out import HeldOut
from client.together.groups import Groups
from client.training import Stage
from common.model import NO_TOKEN, ConceptCNN
from common.outcome import chances
from common.shape import ModelShape

_BLOCK = 1 << 17  # numbers gathered at once: few enough for a processor's own memory


class Pools:
    """Sets of encounters, one to a model, made ready to be pooled by models that change.

    Parameters
    ----------
    sets : sequence of Tensor
        Whole numbers (N, L), rows of a table; models may share one.
    rows : int
        V, of the table.
    """

    def __init__(self, sets: Sequence[Tensor], rows: int) -> None:
        which, tokens = distinct(sets)
        groups = [Groups.of([each], rows, len(each)) for each in tokens]
        self._groups = [groups[number] for number in which]

    def pooled(self, k: int, model: ConceptCNN) -> Tensor:
        """Give the pooled filters, float32 (N, F), of set `k`."""
        table = projected(model)
        table[NO_TOKEN] = -torch.inf
        maxima, (places,) = self._groups[k].maxima(table), self._groups[k].places
        filters = table.shape[1]
        pooled = torch.empty(len(places), filters)
        size = max(1, _BLOCK // (places.shape[1] * filters))
        for start in range(0, len(places), size):
            some = places[start : start + size].T
            pooled[start : start + size] = maxima.index_select(0, some.flatten()).view(*some.shape, filters).amax(0)
        return pooled.relu_()


class Validations:
    """Validation encounters of several models, one set to each."""

    def __init__(self, stages: Sequence[Stage], shape: ModelShape, rows: int) -> None:
        self._pools = Pools([stage.validation.tokens for stage in stages], rows)
        self._held = [HeldOut.of(shape, stage.validation.labels, stage.min_cell) for stage in stages]

    def auroc(self, k: int, model: ConceptCNN) -> float | None:
        """Give a model's AUROC on set `k`, as `client.training.validation_auroc` does."""
        held = self._held[k]
        return None if held is None else held.auroc(chances(model.shape, model.head(self._pools.pooled(k, model))))


def projected(model: ConceptCNN) -> Tensor:
    """Give the projected table (V, F), as `ConceptCNN.project_and_pool` has it."""
    return torch.addmm(model.conv.bias, model.table, model.conv.weight[:, :, 0].T)  # type: ignore[arg-type]


def distinct(sets: Sequence[Tensor]) -> tuple[list[int], list[Tensor]]:
    """Give which set each is, and every set once; the same memory is the same set."""
    known: dict[tuple[int, int], int] = {}
    which = [known.setdefault((each.data_ptr(), len(each)), len(known)) for each in sets]
    return which, [sets[which.index(number)] for number in range(len(known))]
