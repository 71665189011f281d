from __future__ import annotations

import numpy as np
import pytest

from ser.experts.opinion_pool import fit_weights

RNG = np.random.default_rng(11)


def drawn(logits: np.ndarray) -> np.ndarray:
    """A label a row, by the probabilities of its classes."""
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return (probabilities.cumsum(axis=1) < RNG.random((len(logits), 1))).sum(axis=1)


@pytest.mark.parametrize("weights", [(4.0,), (0.5,), (8.0, 2.0), (0.5, 3.0), (2.0, 1.0, 5.0)])
def test_the_weights_are_those_by_which_the_labels_came(weights: tuple[float, ...]) -> None:
    scores = RNG.standard_normal((len(weights), 40_000, 4)) * 0.7
    found = fit_weights(scores.astype(np.float32), drawn(np.tensordot(weights, scores, axes=1)))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, weights, rtol=0.06)


def test_whoever_is_wrong_has_next_to_no_say_and_is_never_turned_round() -> None:
    logits = RNG.standard_normal((10_000, 4))
    scores = np.stack([logits, -logits + RNG.standard_normal(logits.shape)]).astype(np.float32)
    right, wrong = fit_weights(scores, drawn(2 * logits))
    assert right == pytest.approx(2.1, rel=0.1)
    assert wrong == pytest.approx(0.1)


def test_whoever_is_always_right_is_not_sure_without_end() -> None:
    labels = RNG.integers(0, 3, 300)
    hardly_told = 0.01 * np.eye(3, dtype=np.float32)[labels][np.newaxis]
    assert fit_weights(hardly_told, labels) == pytest.approx(100)


def test_scores_that_say_nothing_are_left_as_they_are() -> None:
    found = fit_weights(np.zeros((2, 50, 3), dtype=np.float32), np.arange(50) % 3)
    assert found.tolist() == [1, 1]
