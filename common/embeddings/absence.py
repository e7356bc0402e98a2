"""Where the vectors of absent findings lie.

"Not cough" lies close to "cough" in every language model that was tried (cosine 0.7 to 0.99), and to every other "Not".
What each way does to a model that meets words it was not trained on was measured: docs/vocabularies.md.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from common.concepts import OFFSET, SENTENCE, Absence

Floats = npt.NDArray[np.float32]


def width(absence: Absence, dimension: int) -> int:
    """Give how many numbers the classifier sees of a token, where the table has `dimension`."""
    return {SENTENCE: 2 * dimension, OFFSET: dimension + 1}.get(absence, dimension)


def place(vectors: Floats, absent: npt.NDArray[np.bool_], absence: Absence, size: float) -> Floats:
    """Lay out vectors so that they show what is absent.

    Parameters
    ----------
    vectors : float32 (N, D)
        With "offset", for an absent finding, the vector of the finding itself.
    absent : bool (N,)
    absence : {"sentence", "offset"}
        "sentence": ``[v, 0]``, and ``[0, v]`` for what is absent: a filter has weights of their own for absences.
        "offset": ``[v, 0]``, and ``[v, size]`` for what is absent: a filter learns one weight for all absences.
    size : float
        Of the one coordinate of "offset".

    Returns
    -------
    float32 (N, 2 D) or (N, D + 1)
    """
    column = absent[:, None]
    if absence == OFFSET:
        return np.concatenate([vectors, np.where(column, np.float32(size), np.float32(0))], axis=1)
    nothing = np.float32(0)
    return np.concatenate([np.where(column, nothing, vectors), np.where(column, vectors, nothing)], axis=1)
