"""Figures of several folds and seeds, on a worked example in which no two of them are alike."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from ser.evaluation import ScoredSamples, evaluate
from ser.evaluation.cross_validated import CrossValidated, Spread, evaluate_folds
from ser.evaluation.intervals import uar_over_groups, uar_over_recordings
from tests.ser.evaluation.cases import random_samples


def fold(name: str, truth: str, predicted: str) -> ScoredSamples:
    """Recordings with these labels, a letter each, and what was made of them; nine tenths sure."""
    sure = {"a": (0.9, 0.1), "b": (0.1, 0.9)}
    count = len(truth)
    return ScoredSamples(
        names=tuple(f"{name}{number}.wav" for number in range(count)),
        speakers=(name,) * count,
        genders=("female",) * count,
        labels=tuple(truth),
        classes=("a", "b"),
        probabilities=np.array([sure[letter] for letter in predicted], dtype=np.float32),
    )


@pytest.fixture(scope="module")
def figures() -> CrossValidated:
    # Seed 1: recalls of a 3/4 and 1/1, of b 1/2 and 1/1. Seed 2: of a 4/4 and 0/1, of b 0/2 and 1/1.
    return evaluate_folds(
        {
            1: {"x": fold("x", "aaaabb", "aaabba"), "y": fold("y", "ab", "ab")},
            2: {"x": fold("x", "aaaabb", "aaaaaa"), "y": fold("y", "ab", "bb")},
        },
        resampled="speakers",
    )


def test_figures_of_a_seed_are_over_all_recordings_and_of_its_folds(figures: CrossValidated) -> None:
    first, second = figures.seeds
    assert (first.seed, second.seed) == (1, 2)
    assert first.accuracy == pytest.approx(6 / 8)
    assert first.uar == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert second.accuracy == pytest.approx(5 / 8)
    assert second.uar == pytest.approx((4 / 5 + 1 / 3) / 2)
    # The mean of the folds' UARs, which is neither their accuracy nor the pooled UAR.
    assert [row.uar for row in first.folds] == pytest.approx([(3 / 4 + 1 / 2) / 2, 1.0])
    assert [row.accuracy for row in first.folds] == pytest.approx([4 / 6, 1.0])
    assert first.fold_uar.mean == pytest.approx((0.625 + 1) / 2)
    assert first.fold_uar.deviation == pytest.approx(np.std([0.625, 1.0], ddof=1))
    assert second.fold_uar.mean == pytest.approx((0.5 + 0.5) / 2)
    assert first.macro_f1 == pytest.approx(np.mean([2 * 4 / (5 + 5), 2 * 2 / (3 + 3)]))
    assert first.ece == pytest.approx(0.9 - 6 / 8)
    assert first.brier == pytest.approx((6 * 0.02 + 2 * 1.62) / 8)
    assert figures.pooled.uar == first.uar


def test_the_spread_over_seeds_is_the_sample_deviation(figures: CrossValidated) -> None:
    uars = [(4 / 5 + 2 / 3) / 2, (4 / 5 + 1 / 3) / 2]
    spread = figures.over_seeds["uar"]
    assert (spread.mean, spread.deviation) == pytest.approx((np.mean(uars), scipy.stats.tstd(uars)))
    assert figures.over_seeds["accuracy"].mean == pytest.approx((6 / 8 + 5 / 8) / 2)
    assert figures.over_seeds["fold_uar"].mean == pytest.approx((0.8125 + 0.5) / 2)
    assert figures.over_seeds["fold_uar"].deviation == pytest.approx(scipy.stats.tstd([0.8125, 0.5]))
    kept = figures.to_dict()["over_seeds"]
    assert set(kept) == {"uar", "accuracy", "macro_f1", "ece", "brier", "fold_uar"}
    assert kept["uar"]["deviation"] == pytest.approx(scipy.stats.tstd(uars))
    assert Spread.of([0.5]) == Spread(0.5, None)
    three = Spread.of([0.1, 0.2, 0.6])
    assert three.deviation == pytest.approx(scipy.stats.tstd([0.1, 0.2, 0.6]))


def test_the_interval_is_over_what_was_asked() -> None:
    scored = random_samples(80, skill=1.0)
    over_speakers, over_recordings = (evaluate(scored, resampled=one) for one in ("speakers", "recordings"))  # type: ignore[arg-type]
    assert over_speakers.uar_interval == uar_over_groups(scored.truth, scored.predicted, scored.speakers)
    assert over_recordings.uar_interval == uar_over_recordings(scored.truth, scored.predicted)
    assert over_speakers.uar_interval != over_recordings.uar_interval
    pooled = evaluate_folds({1: {"x": scored, "y": by_other_speakers()}}, resampled="speakers").pooled
    assert pooled.uar_interval_over == "speakers"
    everybody = (*scored.speakers, *by_other_speakers().speakers)
    truth, predicted = (
        np.concatenate([getattr(part, name) for part in (scored, by_other_speakers())])
        for name in ("truth", "predicted")
    )
    assert pooled.uar_interval == uar_over_groups(truth, predicted, everybody)


def by_other_speakers() -> ScoredSamples:
    return random_samples(60, seed=3, speakers=("11", "12", "13"), skill=2.5)


def test_a_bootstrap_over_speakers_is_that_of_a_loop_over_draws() -> None:
    scored = random_samples(120, skill=1.2)
    truth, predicted, speakers = scored.truth, scored.predicted, np.array(scored.speakers)
    names = np.unique(speakers)
    rng, uars = np.random.default_rng(7), []
    for _ in range(3_000):
        rows = np.concatenate([np.flatnonzero(speakers == name) for name in rng.choice(names, len(names))])
        recalls = [(predicted[rows][truth[rows] == one] == one).mean() for one in np.unique(truth[rows])]
        uars.append(np.mean(recalls))
    assert uar_over_groups(truth, predicted, scored.speakers) == pytest.approx(
        tuple(np.percentile(uars, (2.5, 97.5))), abs=0.01
    )
