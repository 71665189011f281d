from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.linear_model import Ridge as Oracle
from sklearn.mixture import GaussianMixture as MixtureOracle

from ser.errors import TrainingError
from ser.experts import ridge as ridge_module
from ser.experts import scaling as scaling_module
from ser.experts.gaussian_mixture import GaussianMixture, Whitening
from ser.experts.layers import FisherVector
from ser.experts.ridge import fit_ridge
from ser.experts.scaling import CLIP, Moments

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


def solved(
    scaled: np.ndarray, labels: np.ndarray, weights: np.ndarray, penalty: float
) -> tuple[np.ndarray, np.ndarray]:
    """By the normal equations, in float64: weights and bias."""
    balanced = weights * (weights.sum() / 3 / np.bincount(labels, weights))[labels]
    return centred(scaled, np.eye(3)[labels], balanced, penalty * scaled.shape[1])


def centred(
    rows: np.ndarray, targets: np.ndarray, weights: np.ndarray, penalty: float
) -> tuple[np.ndarray, np.ndarray]:
    mean, target = np.average(rows, 0, weights), np.average(targets, 0, weights)
    left = (rows - mean).T * weights @ (rows - mean) + penalty * np.eye(rows.shape[1])
    found = np.linalg.solve(left, (rows - mean).T * weights @ (targets - target))
    return found, target - mean @ found


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that are not as many as the rows, the last of which is not full."""
    monkeypatch.setattr(scaling_module, "BLOCK_ROWS", 16)
    monkeypatch.setattr(ridge_module, "_HELD_ROWS", 48)


@of_both_systems
@pytest.mark.usefixtures("small_blocks")
def test_it_is_the_solution_in_float64_by_whatever_blocks_rows_come_and_however_often_they_count(
    rows: np.ndarray,
) -> None:
    weights = np.random.default_rng(3).choice([0, 0.5, 1, 2.5], 90).astype(np.float32)
    ridge, scores = fit_ridge(rows, LABELS, FOLDS, penalty=0.2, weights=weights)
    wide = rows.astype(np.float64)
    mean = np.average(wide, 0, weights)
    deviation = np.sqrt(np.average(np.square(wide - mean), 0, weights))
    scaled = np.clip((wide - mean) / deviation, -CLIP, CLIP)
    expected, bias = solved(scaled, LABELS, weights.astype(np.float64), 0.2)
    np.testing.assert_allclose(ridge.weights, expected, atol=2e-5)
    np.testing.assert_allclose(ridge.bias, bias, atol=2e-5)
    balanced = weights * (weights.sum() / 3 / np.bincount(LABELS, weights))[LABELS]
    for fold in range(4):
        kept = fold != FOLDS
        without, its_bias = centred(scaled[kept], np.eye(3)[LABELS[kept]], balanced[kept], 0.2 * rows.shape[1])
        np.testing.assert_allclose(scores[~kept], scaled[~kept] @ without + its_bias, atol=2e-5)


@of_both_systems
def test_a_row_that_counts_twice_is_as_good_as_two(rows: np.ndarray) -> None:
    weights = np.random.default_rng(4).integers(0, 3, 90)
    places = np.repeat(np.arange(90), weights)
    weighed, scores = fit_ridge(rows, LABELS, FOLDS, penalty=0.2, weights=weights.astype(np.float32))
    repeated, their_scores = fit_ridge(rows[places], LABELS[places], FOLDS[places], penalty=0.2)
    np.testing.assert_allclose(weighed(rows), repeated(rows), atol=1e-4)
    np.testing.assert_allclose(scores[places], their_scores, atol=1e-4)
    assert np.abs(fit_ridge(rows, LABELS, FOLDS, penalty=0.2)[0](rows) - repeated(rows)).max() > 0.01


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("without", [None, 2])
def test_columns_are_scaled_by_rows_far_from_zero_as_by_those_around_it(without: int | None) -> None:
    weights = np.random.default_rng(5).choice([0, 0.5, 1, 2.5], 90).astype(np.float32)
    wide = ROWS + np.float32(1000)
    kept = np.full(90, fill_value=True) if without is None else without != FOLDS
    found = Moments.of(wide, weights, FOLDS).scaling(without)
    mean = np.average(wide[kept].astype(np.float64), 0, weights[kept])
    deviation = np.sqrt(np.average(np.square(wide[kept] - mean), 0, weights[kept]))
    np.testing.assert_allclose(found.mean, mean, rtol=1e-6)
    np.testing.assert_allclose(found.inverse_deviation, 1 / deviation, rtol=1e-5)


class Watched:
    """Rows that tell how many were asked for at once."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows, self.most = rows, 0

    @property
    def shape(self) -> tuple[int, ...]:
        return self.rows.shape

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, numbers: np.ndarray) -> np.ndarray:
        self.most = max(self.most, len(numbers))
        return self.rows[numbers]


@of_both_systems
@pytest.mark.usefixtures("small_blocks")
def test_rows_are_read_a_block_at_a_time(rows: np.ndarray) -> None:
    watched = Watched(rows)
    ridge, scores = fit_ridge(watched, LABELS, FOLDS, penalty=0.2)
    held, their_scores = fit_ridge(rows, LABELS, FOLDS, penalty=0.2)
    assert watched.most == 16
    np.testing.assert_array_equal(ridge(rows), held(rows))
    np.testing.assert_array_equal(scores, their_scores)


@pytest.mark.parametrize("shape", [(4_000, 10), (20, 4_000)], ids=["few columns", "few rows"])
def test_the_system_is_as_large_as_what_there_is_less_of(shape: tuple[int, int]) -> None:
    rows = np.random.default_rng(7).standard_normal(shape).astype(np.float32)
    numbers = np.arange(len(rows))
    tracemalloc.start()
    try:
        fit_ridge(rows, numbers % 2, numbers // 2 % 5, penalty=1.0)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 * 4_000**2 / 8


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
