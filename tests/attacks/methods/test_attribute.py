"""Attribute inference against odds counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from attacks.methods import attribute


def test_the_score_is_the_log_of_the_posterior_odds() -> None:
    """Prior 0.2; the true label has probability 0.9 with the finding, 0.3 without: odds 0.2 x 0.9 to 0.8 x 0.3."""
    margin = {p: np.log([p / (1 - p)]) for p in (0.9, 0.3)}
    assert attribute.scores(margin[0.9], margin[0.3], 0.2) == pytest.approx(np.log(0.18 / 0.24))


def test_a_model_that_does_not_look_at_the_finding_leaves_the_prior() -> None:
    margins = np.array([-3.0, 0.0, 5.0])
    np.testing.assert_allclose(attribute.scores(margins, margins, 0.25), np.log(1 / 3))


def test_without_a_model_the_label_is_all_there_is() -> None:
    known = np.array([1, 1, 1, 0, 0])
    present = np.array([1, 1, 0, 0, 0], dtype=bool)
    found = attribute.without_model(np.array([0, 1, 1]), known, present)
    np.testing.assert_allclose(found[1:], np.log(2.5 / 1.5))  # 2 of 3 with the label, a half added to each
    np.testing.assert_allclose(found[0], np.log(0.5 / 2.5))  # none of 2
