"""What of a source's answer goes into a secure sum."""

from __future__ import annotations

import numpy as np
import pytest

from client.secure.update import update_of
from common.tasks import Answer

CAME = {"cnn+linear": np.array([1.0, 2.0], np.float32)}
NEW = {"cnn+linear": np.array([1.5, 1.0], np.float32)}


@pytest.mark.parametrize(("equal", "weight"), [(False, 30.0), (True, 1.0)])
def test_the_change_and_how_much_it_counts(equal: bool, weight: float) -> None:
    update = update_of(Answer("ok", "a", {"num-examples": 30.0}, arrays=dict(NEW)), CAME, equal)
    assert update.change.tolist() == [0.5, -1.0]
    assert (update.encounters, update.score, update.scored) == (weight, 0.0, 0.0)


def test_a_score_goes_with_its_encounters_and_alone_it_stays() -> None:
    figures = {"num-examples": 30.0, "came.validation.auroc": 0.75, "came.validation.n": 12.0}
    update = update_of(Answer("ok", "a", figures, arrays=dict(NEW)), CAME, True)
    assert (update.encounters, update.score, update.scored) == (1.0, 0.75, 12.0)
    del figures["came.validation.auroc"]  # the site's policy keeps it back
    assert update_of(Answer("ok", "a", figures, arrays=dict(NEW)), CAME, False).scored == 0.0
