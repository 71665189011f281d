from __future__ import annotations

import numpy as np
import pytest

from ser.evaluation import ScoredSamples, evaluate
from ser.evaluation.calibration import BINS, calibration
from ser.evaluation.intervals import uar_over_groups, uar_over_recordings, wilson
from tests.ser.evaluation.cases import by_hand, random_samples


def test_the_figures_are_those_computed_on_paper() -> None:
    figures = calibration(by_hand())
    # Confidences .8 .6 .6 .7 .95 .7; right: yes yes no yes no yes.
    # Bins of 1/15: .6 and .6 half right; .7 and .7 all right; .8 right; .95 wrong.
    assert figures.ece == pytest.approx((2 * 0.1 + 2 * 0.3 + 0.2 + 0.95) / 6, abs=1e-6)
    squares = (
        0.04 + 0.01 + 0.01, 0.16 + 0.09 + 0.01, 0.49 + 0.36 + 0.01,
        0.04 + 0.09 + 0.01, 0.0025 + 1 + 0.9025, 0.01 + 0.04 + 0.09,
    )  # fmt: skip
    assert figures.brier == pytest.approx(sum(squares) / 6, abs=1e-6)
    filled = {round(one.high * BINS): one for one in figures.bins if one.samples}
    assert sorted(filled) == [10, 11, 13, 15]
    assert filled[10].accuracy == 0.5
    assert filled[10].confidence == pytest.approx(0.6)
    assert sum(one.samples for one in figures.bins) == 6
    assert all(one.accuracy is None and one.confidence is None for one in figures.bins if not one.samples)


def test_the_first_bin_is_for_those_who_have_hardly_an_opinion() -> None:
    names = tuple(f"{number:02d}" for number in range(20))
    unsure = np.full((20, 20), 1 / 20, dtype=np.float32)  # below 1/15
    figures = calibration(ScoredSamples(names, names, names, names, names, unsure))
    assert [one.samples for one in figures.bins] == [20, *[0] * 14]
    assert (figures.bins[0].low, figures.bins[0].high) == (0.0, pytest.approx(1 / 15))


def test_what_is_answered_above_a_threshold() -> None:
    rows = {row.threshold: row for row in calibration(by_hand()).coverage}
    assert (rows[0.5].answered, rows[0.5].samples, rows[0.5].accuracy) == (1.0, 6, pytest.approx(4 / 6))
    assert (rows[0.9].answered, rows[0.9].samples, rows[0.9].accuracy) == (pytest.approx(1 / 6), 1, 0.0)
    unsure = by_hand(probabilities=np.full((6, 3), 1 / 3, dtype=np.float32))
    assert [row.accuracy for row in calibration(unsure).coverage] == [None] * 5


def test_a_perfect_and_sure_model_has_no_error() -> None:
    truth = by_hand().truth
    figures = calibration(by_hand(probabilities=np.eye(3, dtype=np.float32)[truth]))
    assert (figures.ece, figures.brier) == (0.0, 0.0)
    assert figures.bins[-1].samples == 6


def test_probabilities_that_are_what_they_say_have_a_small_error() -> None:
    generator = np.random.default_rng(1)
    probabilities = generator.dirichlet(np.full(3, 0.5), size=20_000).astype(np.float32)
    labels = tuple("abc"[generator.choice(3, p=row / row.sum())] for row in probabilities.astype(np.float64))
    same = ("x",) * len(labels)
    scored = ScoredSamples(same, same, same, labels, ("a", "b", "c"), probabilities)
    assert calibration(scored).ece < 0.02
    sharpened = probabilities**4 / (probabilities**4).sum(axis=1, keepdims=True)
    assert calibration(ScoredSamples(same, same, same, labels, ("a", "b", "c"), sharpened)).ece > 0.05


def test_wilson_s_interval_is_the_published_one() -> None:
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-4)  # Newcombe (1998), table I


def test_the_bootstrap_over_recordings_agrees_with_the_plain_one() -> None:
    scored = random_samples(210, skill=1.5)
    truth, predicted = scored.truth, scored.predicted
    generator, uars = np.random.default_rng(5), []
    members = [np.flatnonzero(truth == label) for label in np.unique(truth)]
    for _ in range(4_000):
        drawn = [generator.choice(rows, len(rows)) for rows in members]
        uars.append(np.mean([(predicted[rows] == truth[rows]).mean() for rows in drawn]))
    assert uar_over_recordings(truth, predicted) == pytest.approx(np.percentile(uars, (2.5, 97.5)), abs=0.01)


def test_the_bootstrap_over_speakers_draws_whole_speakers() -> None:
    truth = np.array([0, 1] * 40)
    speakers = [f"{number // 10}" for number in range(80)]
    predicted = np.where(np.arange(80) < 40, truth, 1 - truth)  # four speakers all right, four all wrong
    low, high = uar_over_groups(truth, predicted, speakers)
    assert (low, high) == (pytest.approx(0.125, abs=0.07), pytest.approx(0.875, abs=0.07))
    narrow = uar_over_recordings(truth, predicted)
    assert high - low > 2 * (narrow[1] - narrow[0])
    assert uar_over_groups(truth, truth, speakers) == (1.0, 1.0)


@pytest.mark.parametrize("resampled", ["recordings", "speakers"])
def test_the_uar_lies_within_its_interval_which_is_the_same_each_time(resampled: str) -> None:
    scored = random_samples(70, absent=("fear",))
    figures = evaluate(scored, resampled=resampled)  # type: ignore[arg-type]
    assert figures.uar_interval[0] < figures.uar < figures.uar_interval[1]
    assert figures.uar_interval == evaluate(scored, resampled=resampled).uar_interval  # type: ignore[arg-type]
    assert figures.uar_interval_over == resampled
