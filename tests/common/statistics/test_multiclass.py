"""Macro averages against scikit-learn, and their variance against the bootstrap and theory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from common.statistics.delong import Areas, areas, difference
from common.statistics.multiclass import macro_areas, one_against_rest, several_labels


def draw(seed: int, count: int = 200, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Classes of unequal size, and probabilities that add up to 1."""
    generator = np.random.default_rng(seed)
    labels = np.append(np.repeat(np.arange(classes), 2), generator.choice(classes, count - 2 * classes))
    scores = np.exp(np.round(generator.normal(size=(count, classes)) + 1.5 * np.eye(classes)[labels], 1))
    return labels, scores / scores.sum(axis=1, keepdims=True)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(3, 5))
def test_one_against_rest_is_that_of_scikit_learn(seed: int, classes: int) -> None:
    labels, probabilities = draw(seed, classes=classes)
    found = one_against_rest(labels, probabilities)
    assert found.macro_auroc.value == pytest.approx(roc_auc_score(labels, probabilities, multi_class="ovr"), abs=1e-12)
    assert found.macro_auprc == pytest.approx(
        average_precision_score(np.eye(classes)[labels], probabilities), abs=1e-12
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_several_labels_are_those_of_scikit_learn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels = (generator.random((120, 3)) < [0.5, 0.3, 0.2]).astype(np.int64)
    labels[:2] = [[0, 0, 0], [1, 1, 1]]
    probabilities = np.round((labels + 2 * generator.random((120, 3))) / 3, 2)
    found = several_labels(labels, probabilities)
    np.testing.assert_allclose(found.auroc.values, roc_auc_score(labels, probabilities, average=None), atol=1e-12)
    np.testing.assert_allclose(found.auprc, average_precision_score(labels, probabilities, average=None), atol=1e-12)
    assert found.macro_auroc.value == pytest.approx(roc_auc_score(labels, probabilities))
    assert found.macro_auprc == pytest.approx(average_precision_score(labels, probabilities))


def test_two_classes_have_the_variance_of_one_model() -> None:
    labels, probabilities = draw(1, classes=2)
    p = np.round(64 * probabilities[:, 1]) / 64  # 1 - p is exact
    found = one_against_rest(labels, np.stack([1 - p, p], axis=1)).area
    assert found.variances[0] == pytest.approx(areas(labels, p).variances[0])


def test_the_variance_of_the_macro_average_is_that_of_new_samples() -> None:
    samples = [one_against_rest(*draw(seed)) for seed in range(400)]
    spread = np.var([sample.macro_auroc.value for sample in samples])
    assert np.mean([sample.area.variances[0] for sample in samples]) == pytest.approx(spread, rel=0.15)


def test_macro_averages_of_two_models_are_compared_as_any() -> None:
    labels, probabilities = draw(2)
    worse = np.roll(probabilities, 3, axis=0) * 0.3 + probabilities * 0.7
    first, second = (one_against_rest(labels, each).area for each in (probabilities, worse))
    both = Areas(np.concatenate([first.values, second.values]), np.concatenate([first.parts, second.parts]))
    found = difference(both, 0, 1)
    assert found.value == pytest.approx(roc_auc_score(labels, probabilities, multi_class="ovr") - second.values[0])
    assert found.low < found.value < found.high
    draws = np.random.default_rng(0).integers(0, len(labels), (200, len(labels)))
    again = [_apart(labels[drawn], probabilities[drawn], worse[drawn]) for drawn in draws]
    assert found.error == pytest.approx(np.std(again), rel=0.15)


def _apart(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:  # type: ignore[type-arg]
    return one_against_rest(labels, first).macro_auroc.value - one_against_rest(labels, second).macro_auroc.value


def test_a_class_that_nobody_has_is_in_no_average() -> None:
    labels, probabilities = draw(3, classes=3)
    wide = np.concatenate([probabilities, np.full((200, 1), 0.1)], axis=1)
    found, whole = one_against_rest(labels, wide), one_against_rest(labels, probabilities)
    assert found.known.tolist() == [0, 1, 2]
    assert np.isnan(found.auroc.values[3])
    assert found.macro_auroc == whole.macro_auroc
    assert found.macro_auprc == whole.macro_auprc
    nobody = several_labels(np.zeros((5, 2), dtype=np.int64), np.full((5, 2), 0.5))
    assert np.isnan(nobody.macro_auroc.value)
    assert np.isnan(nobody.macro_auprc)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match=r"labels of shape \(5, 2\) and probabilities of shape \(5, 3\)"):
        several_labels(np.zeros((5, 2), dtype=np.int64), np.zeros((5, 3)))


def test_many_models_have_the_areas_that_each_has_by_itself() -> None:
    drawn = [draw(seed) for seed in range(3)]
    yes = (drawn[0][0][:, None] == np.arange(5)).astype(np.int64)  # nobody is of the fifth class
    scores = np.stack([np.append(probabilities, np.zeros((200, 1)), axis=1) for _, probabilities in drawn])
    scores[2, 7] = np.nan  # a model that diverged
    found = macro_areas(yes, scores)
    for number in (0, 1):
        alone = several_labels(yes, scores[number]).area
        assert found.values[number] == pytest.approx(alone.values[0], abs=1e-12)
        np.testing.assert_allclose(found.parts[number], alone.parts[0], atol=1e-12)
    assert np.isnan(found.values[2])
    nobody = macro_areas(yes[:, 4:], scores[:, :, 4:])
    assert np.isnan(nobody.values).all()
    assert nobody.parts.shape == (3, 200)
