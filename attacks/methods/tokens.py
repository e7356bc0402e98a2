"""Reconstruction: which tokens the encounters of a batch had, from the change of the weights.

With a kernel of width 1 the gradient of filter f is a sum over the table's rows of the tokens that won the max-pool for
f. Where the rows are linearly independent it has one solution only: the gradient of the projected table, not zero
exactly for the winners. The step is known from the configuration; all that is not known is float32's rounding. That a
gradient gives a batch away: Zhu et al. 2019, "Deep Leakage from Gradients", NeurIPS, arXiv 1906.08935; that linear
layers do so exactly: Geiping et al. 2020, arXiv 2003.14053.

From the head alone there are F numbers. Of a batch of one they are its pooled filters, each of which is a number of the
projected table that only one token has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2
from torch import Tensor

from attacks.methods.past import Past
from client.training import State
from common.metrics import Floats

_ROUNDING = 2.0**-24  # of a float32, relative
_MARGIN = 16  # times the rounding that is expected
_CHANCE = 1e-4  # of saying of a token that nobody has that it is there, where there is noise
_DEVIATIONS = 4.0  # of noise, from which on a filter's height is not noise
_RANK = 1e-6  # singular values below this share of the greatest are rounding of the table

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Finding:
    """What the attack found.

    Attributes
    ----------
    seen : ndarray
        bool (V,), tokens of which it is sure that some encounter has them.
    height : ndarray
        float64 (F,), the pooled filters of a batch of one; NaN where dropout or ReLU hides one.
    """

    seen: NDArray[np.bool_]
    height: Floats


class Table:
    """A table made ready for the attack.

    Parameters
    ----------
    rows : ndarray
        float64 (V, D), row 0 zeros.
    others : ndarray
        float64 (V', D), rows of other sites' tables whose encounters may be in the same sum.
    """

    def __init__(self, rows: Floats, others: Floats) -> None:
        self.rows = rows
        known, place = np.unique(np.concatenate([rows[1:], others]), axis=0, return_inverse=True)
        self._place = place.ravel()[: len(rows) - 1]
        self._wide = np.hstack([known, np.ones((len(known), 1))])  # the bias has a gradient, too
        self._inverse = np.linalg.pinv(self._wide, rcond=_RANK)  # (D + 1, rows)
        self._norms = np.linalg.norm(self._inverse, axis=0)

    def projected(self, weights: State) -> Floats:
        """Give the projected table, float64 (V, F)."""
        kernel, bias = _kernel(weights)
        return np.asarray(self.rows @ kernel.T + bias)

    def winners(self, before: State, after: State, pasts: Sequence[Past]) -> NDArray[np.bool_]:
        """Say which tokens won for which filters, bool (V, F).

        Parameters
        ----------
        pasts : sequence of Past
            Where several numbers of steps are possible, one for each. The one that leaves the fewest winners is taken,
            and of equals the one that explains most.
        """
        start, end = _wide(before), _wide(after)
        best: tuple[tuple[int, float], NDArray[np.bool_]] | None = None
        for past in pasts:
            change = past.decay * start - end  # (F, D + 1)
            parts = change @ self._inverse
            noise = _MARGIN * _ROUNDING * np.sqrt(past.steps) * (_largest(end) + _largest(change))
            won = (np.abs(parts) > noise[:, None] * self._norms).T
            rest = float(np.abs(change - parts @ self._wide).max())
            if best is None or (int(won.sum()), rest) < best[0]:
                best = (int(won.sum()), rest), won
        assert best is not None
        return np.vstack([np.zeros(len(start), dtype=bool)[None], best[1][self._place]])

    def beyond(self, before: State, after: State, past: Past) -> NDArray[np.bool_]:
        """Say which tokens' parts in a change, over all filters, are longer than noise makes them, bool (V,)."""
        parts = (past.decay * _wide(before) - _wide(after)) @ self._inverse
        lengths = np.square(parts / (past.spread * self._norms)).sum(axis=0)
        sure = chi2.sf(lengths, len(parts)) < _CHANCE
        return np.concatenate([[False], sure[self._place]])


def from_everything(table: Table, before: State, after: State, pasts: Sequence[Past]) -> Finding:
    """Attack a change of CNN and head."""
    if pasts[0].spread:
        unknown = np.full(len(before["conv.bias"]), np.nan)
        return Finding(table.beyond(before, after, pasts[0]), unknown)
    won = table.winners(before, after, pasts)
    single = won.sum(axis=0) == 1
    height = np.where(single, (table.projected(before) * won).sum(axis=0), np.nan)
    return Finding(np.asarray(won.any(axis=1)), height)


def from_head(table: Table, before: State, after: State, pasts: Sequence[Past], dropout: float) -> Finding:
    """Attack a change of the head alone, under a CNN that is known, as if it were of one encounter."""
    decay, projected = pasts[0].decay, table.projected(before)
    weights, biases = _double(before["linear.weight"]), _double(before["linear.bias"])
    after_weights, after_biases = _double(after["linear.weight"]), _double(after["linear.bias"])
    change, errors = decay * weights - after_weights, decay * biases - after_biases
    output = int(np.abs(errors).argmax())
    rounding = _MARGIN * _ROUNDING
    with np.errstate(divide="ignore", invalid="ignore"):
        height = (1 - dropout) * change[output] / errors[output]
        noise = np.abs(after_weights[output]) + np.abs(height * after_biases[output])
        noise = rounding * (noise / np.abs(errors[output]) + np.abs(projected).max())
        noise += _DEVIATIONS * pasts[0].spread * (1 + np.abs(height)) / np.abs(errors[output])
    height = np.where(height > noise, height, np.nan)
    won = np.abs(projected - height) <= noise
    won[0] = False
    won &= won.sum(axis=0) == 1  # of two that are as near, it is not sure of either
    return Finding(np.asarray(won.any(axis=1)), height)


def scores(found: Finding, shares: Floats) -> Floats:
    """Score tokens (V,): those that were seen first, then by the share of the population that has them."""
    return shares + 2.0 * found.seen


def encounter(found: Finding, projected: Floats, columns: Sequence[Rows], shares: Floats) -> Rows:
    """Put together the one encounter of a batch of one: a row of the table for each column.

    A value that was seen is the column's. One that would have won where another did is not there. Of the rest, the most
    frequent in the population.

    Parameters
    ----------
    projected : ndarray
        float64 (V, F).
    columns : sequence of ndarray
        For each column the rows of the table, 0 for no token, that it may hold.
    shares : ndarray
        float64 (V,), of the population's encounters that have a row; of row 0 it is not read.
    """
    above = projected - np.nan_to_num(found.height, nan=np.inf)
    beaten = (above > 1e-5 * np.abs(projected).max()).any(axis=1)
    beaten[0] = False
    rank = shares + 2.0 * found.seen - 2.0 * (beaten & ~found.seen)
    rank[0] = 0.0
    chosen = []
    for rows in columns:
        own = rank[rows].copy()
        own[rows == 0] = 1.0 - shares[rows[rows > 0]].sum()  # no token is what is left
        chosen.append(rows[own.argmax()])
    return np.array(chosen)


def _kernel(weights: State) -> tuple[Floats, Floats]:
    return _double(weights["conv.weight"])[:, :, 0], _double(weights["conv.bias"])


def _wide(weights: State) -> Floats:
    """Give each filter's kernel and bias, float64 (F, D + 1)."""
    kernel, bias = _kernel(weights)
    return np.hstack([kernel, bias[:, None]])


def _largest(values: Floats) -> Floats:
    return np.asarray(np.abs(values).max(axis=1))


def _double(values: Tensor) -> Floats:
    return values.numpy().astype(np.float64)
