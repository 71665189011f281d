from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge as Oracle
from sklearn.mixture import GaussianMixture as MixtureOracle

from ser.errors import TrainingError
from ser.experts.gaussian_mixture import GaussianMixture, Whitening
from ser.experts.layers import FisherVector
from ser.experts.ridge import CLIP, fit_ridge

RNG = np.random.default_rng(11)
LABELS = np.array([0, 1, 2] * 20 + [0] * 30)
ROWS = (RNG.standard_normal((90, 12)) + np.eye(3, 12)[LABELS] * 2).astype(np.float32)
WIDE_ROWS = np.concatenate([ROWS, RNG.standard_normal((90, 188)).astype(np.float32) + 3], axis=1)
FOLDS = np.arange(90) // 3 % 4
of_both_systems = pytest.mark.parametrize("rows", [ROWS, WIDE_ROWS], ids=["few columns", "many columns"])


def oracle(rows: np.ndarray, chosen: np.ndarray) -> Oracle:
    counts = np.bincount(LABELS)
    weight = (len(LABELS) / 3 / counts)[LABELS]
    return Oracle(alpha=2.0 * rows.shape[1]).fit(rows[chosen], np.eye(3)[LABELS[chosen]], sample_weight=weight[chosen])


@of_both_systems
def test_it_is_ridge_regression_with_classes_of_one_weight(rows: np.ndarray) -> None:
    ridge, _ = fit_ridge(rows, LABELS, FOLDS, penalty=2.0)
    scaled = ridge.scaling(rows)
    np.testing.assert_allclose(ridge(rows), oracle(scaled, np.arange(90)).predict(scaled), atol=1e-3)


@of_both_systems
def test_the_scores_of_a_fold_are_by_what_was_solved_without_it(rows: np.ndarray) -> None:
    ridge, scores = fit_ridge(rows, LABELS, FOLDS, penalty=2.0)
    assert {ridge.weights.dtype, ridge.bias.dtype, scores.dtype} == {np.dtype(np.float32)}
    scaled = ridge.scaling(rows)
    for fold in range(4):
        held_out = fold == FOLDS
        expected = oracle(scaled, np.flatnonzero(~held_out)).predict(scaled[held_out])
        np.testing.assert_allclose(scores[held_out], expected, atol=1e-3)


def test_a_column_that_does_not_vary_counts_for_nothing_and_no_value_for_everything() -> None:
    rows = np.concatenate([ROWS, np.full((90, 1), 3, np.float32)], axis=1)
    ridge, _ = fit_ridge(rows, LABELS, FOLDS, penalty=1.0)
    strange = np.full((1, 13), 1e9, np.float32)
    assert ridge.scaling(strange)[0, :12].tolist() == [CLIP] * 12
    assert ridge.scaling(strange)[0, 12] == 0


@of_both_systems
def test_a_penalty_that_is_lost_beside_rows_that_depend_on_each_other_is_named(rows: np.ndarray) -> None:
    twice = np.concatenate([rows, rows], axis=1)
    with pytest.raises(TrainingError, match=r"model_config\.penalty: too small"):
        fit_ridge(twice, LABELS, FOLDS, penalty=1e-30)
    ridge, _ = fit_ridge(twice, LABELS, FOLDS, penalty=1.0)
    assert np.isfinite(ridge(twice)).all()


def test_one_fold_alone_has_no_scores() -> None:
    _, scores = fit_ridge(ROWS, LABELS, np.zeros(90, dtype=np.int64), penalty=1.0)
    assert not scores.any()


def test_a_mixture_is_sklearn_s() -> None:
    frames = np.concatenate([RNG.standard_normal((300, 2)) * 0.5 + centre for centre in ([0, 0], [4, 0], [0, 4])])
    frames = frames.astype(np.float32)
    ours = GaussianMixture.fit(frames, 3, np.random.default_rng(2))
    theirs = MixtureOracle(3, covariance_type="diag", random_state=0).fit(frames)
    order, expected = np.lexsort(ours.means.round().T), np.lexsort(theirs.means_.round().T)
    np.testing.assert_allclose(ours.means[order], theirs.means_[expected], atol=0.1)
    np.testing.assert_allclose(ours.variances[order], theirs.covariances_[expected], atol=0.05)
    np.testing.assert_allclose(
        ours.responsibilities(frames)[:, order], theirs.predict_proba(frames)[:, expected], atol=0.05
    )


def test_whitened_frames_are_uncorrelated() -> None:
    frames = (RNG.standard_normal((2_000, 6)) @ RNG.standard_normal((6, 6)) * [1, 10, 100, 1, 1, 1]).astype(np.float32)
    whitened = Whitening.fit(frames, 4)(frames)
    np.testing.assert_allclose(np.cov(whitened.T), np.eye(4), atol=0.05)


def log_likelihood(mixture: GaussianMixture, means: np.ndarray, deviations: np.ndarray, frames: np.ndarray) -> float:
    unit = (frames[:, None] - means) / deviations
    log_density = -0.5 * (unit**2).sum(axis=2) - np.log(deviations).sum(axis=1) + np.log(mixture.weights)
    return float(np.log(np.exp(log_density).sum(axis=1)).mean())


def test_a_fisher_vector_is_the_gradient_of_the_likelihood() -> None:
    frames = RNG.standard_normal((40, 3)).astype(np.float32)
    mixture = GaussianMixture.fit(RNG.standard_normal((500, 3)).astype(np.float32), 4, np.random.default_rng(0))
    padded = np.concatenate([frames, np.full((10, 3), 7, np.float32)])[None]
    speech = np.array([1.0] * 40 + [0.0] * 10, np.float32)[None, :, None]
    rooted = np.asarray(FisherVector.by(mixture)(padded, speech))[0]
    found = (np.sign(rooted) * rooted**2).reshape(2, 4, 3)
    means, deviations = mixture.means.astype(np.float64), np.sqrt(mixture.variances.astype(np.float64))
    step = 1e-5
    for component in range(4):
        for dimension in range(3):
            change = np.zeros_like(means)
            change[component, dimension] = step
            by_mean = log_likelihood(mixture, means + change, deviations, frames)
            by_mean -= log_likelihood(mixture, means - change, deviations, frames)
            by_deviation = log_likelihood(mixture, means, deviations + change, frames)
            by_deviation -= log_likelihood(mixture, means, deviations - change, frames)
            # Perronnin et al., 2010, equations 17 and 18: normalised by the Fisher information's diagonal.
            scale = deviations[component, dimension] / np.sqrt(mixture.weights[component]) / (2 * step)
            assert found[0, component, dimension] == pytest.approx(by_mean * scale, abs=2e-3)
            assert found[1, component, dimension] == pytest.approx(by_deviation * scale / np.sqrt(2), abs=2e-3)
