"""The centre of an embedding space and the scale around it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# At this mean norm and learning rate 0.01 the tables of all language models trained about equally well; raw ones differ
# by a factor of 14 in norm and so, at one rate, in how far they train (docs/embeddings.md).
TARGET_NORM = 4.0

_NO_SPREAD = 1e-6  # of the rows' own norm: below it, what is left after centring is rounding


def centre_and_scale(rows: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], float]:
    """Give the mean of `rows`, float32 (D,), and what brings the centred rows to a mean norm of 4.

    The scale is 0 where the rows do not differ, or are not finite: nothing can be centred then.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        wide = rows.astype(np.float64)
        centre = wide.mean(axis=0).astype(np.float32)
        spread = float(np.linalg.norm(wide - centre, axis=1).mean())
        size = float(np.linalg.norm(wide, axis=1).mean())
    usable = bool(np.isfinite(size)) and spread > _NO_SPREAD * size
    return centre, TARGET_NORM / spread if usable else 0.0
