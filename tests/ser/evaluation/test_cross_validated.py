"""Folds and seeds pooled: every figure by hand, intervals by SciPy's bootstrap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import bootstrap

from ser.evaluation import ScoredSamples, evaluate
from ser.evaluation.cross_validated import Spread, evaluate_folds
from ser.files import make_folder, write_json
from ser.split import Protocol
from ser.steps.cross_validation import FOLD, SCORES, summarise
from tests.ser.evaluation.cases import random_samples


def judged(truth: str, predicted: str, speakers: str = "") -> ScoredSamples:
    """A letter a recording; its prediction has 0.9."""
    classes = ("a", "b")
    probabilities = np.array([[0.9, 0.1] if one == "a" else [0.1, 0.9] for one in predicted], dtype=np.float32)
    names = tuple(f"{number}.wav" for number in range(len(truth)))
    who = tuple(speakers or "x" * len(truth))
    return ScoredSamples(names, who, ("male",) * len(truth), tuple(truth), classes, probabilities)


# Fold: truth, prediction; in each the accuracy is another than the UAR.
SEEDS = {
    5: {"one": judged("aaab", "aaaa"), "two": judged("abbb", "abba")},
    6: {"one": judged("aaab", "aaab"), "two": judged("abbb", "bbbb")},
    7: {"one": judged("aaab", "aaaa"), "two": judged("abbb", "bbbb")},
}


def test_figures_of_folds_and_seeds_are_those_on_paper() -> None:
    result = evaluate_folds(SEEDS, resampled="recordings")
    assert [row.seed for row in result.seeds] == [5, 6, 7]
    first = result.seeds[0]
    assert [(fold.group, fold.samples, fold.accuracy) for fold in first.folds] == [("one", 4, 0.75), ("two", 4, 0.75)]
    assert [fold.uar for fold in first.folds] == pytest.approx([1 / 2, 5 / 6])
    assert first.fold_uar.mean == pytest.approx(2 / 3)
    assert first.fold_uar.deviation == pytest.approx((1 / 3) / np.sqrt(2))  # n - 1 of two: the distance by root 2
    # Pooled: a 4 of 4, b 2 of 4; then 3 and 4; then 3 and 3.
    assert [row.accuracy for row in result.seeds] == pytest.approx([6 / 8, 7 / 8, 6 / 8])
    assert [row.uar for row in result.seeds] == pytest.approx([3 / 4, 7 / 8, 3 / 4])
    assert [row.macro_f1 for row in result.seeds] == pytest.approx([(4 / 5 + 2 / 3) / 2, (6 / 7 + 8 / 9) / 2, 3 / 4])
    assert [row.ece for row in result.seeds] == pytest.approx([0.15, 0.025, 0.15], abs=1e-6)
    # Right: 0.1 squared, twice; wrong: 0.9 squared, twice.
    briers = [(6 * 0.02 + 2 * 1.62) / 8, (7 * 0.02 + 1.62) / 8, (6 * 0.02 + 2 * 1.62) / 8]
    assert [row.brier for row in result.seeds] == pytest.approx(briers, abs=1e-6)
    over = result.over_seeds
    assert set(over) == {"uar", "accuracy", "macro_f1", "ece", "brier", "fold_uar"}
    assert over["brier"].mean == pytest.approx(np.mean(briers), abs=1e-6)
    assert over["brier"].deviation == pytest.approx(np.std(briers, ddof=1), abs=1e-6)
    assert over["uar"].mean == pytest.approx(19 / 24)
    assert over["uar"].deviation == pytest.approx(0.0721688, abs=1e-6)  # root of ((1/24)^2 * 2 + (1/12)^2) / 2
    assert over["fold_uar"].mean == pytest.approx((2 / 3 + (1 + 1 / 2) / 2 + 1 / 2) / 3)
    assert result.pooled.uar == first.uar
    assert evaluate_folds({seed: SEEDS[seed] for seed in (6, 5)}, resampled="recordings").pooled.uar == 7 / 8
    kept = result.to_json()
    assert [row["group"] for row in kept["by_fold"]] == ["one", "two"]
    assert kept["fold_uar"]["mean"] == pytest.approx(2 / 3)


def test_a_fold_without_a_class_has_the_uar_of_those_that_it_has() -> None:
    result = evaluate_folds({1: {"one": judged("aaa", "aab"), "two": judged("ab", "ab")}}, resampled="recordings")
    assert [fold.uar for fold in result.seeds[0].folds] == pytest.approx([2 / 3, 1])
    assert result.pooled.uar == pytest.approx((3 / 4 + 1) / 2)


def test_one_figure_has_no_deviation() -> None:
    assert Spread.of([0.25]) == Spread(0.25, None)
    assert Spread.of([0.2, 0.4]).deviation == pytest.approx(0.1414214, abs=1e-6)


def _by_scipy(scored: ScoredSamples) -> tuple[float, float]:
    """The interval by SciPy, of whole speakers drawn anew."""
    truth, right = scored.truth, scored.truth == scored.predicted
    names = sorted(set(scored.speakers))
    of = [np.flatnonzero(np.array(scored.speakers) == name) for name in names]

    def uar(drawn: np.ndarray) -> float:
        rows = np.concatenate([of[int(number)] for number in drawn])
        return float(np.mean([right[rows][truth[rows] == one].mean() for one in np.unique(truth[rows])]))

    found = bootstrap(
        (np.arange(len(names)),), uar, vectorized=False, method="percentile", n_resamples=2_000, rng=3
    ).confidence_interval
    return float(found.low), float(found.high)


def _unlike_speakers() -> ScoredSamples:
    """Six speakers of twenty recordings: of three nearly all is recognised, of three nearly nothing."""
    truth = "ab" * 60
    other = {"a": "b", "b": "a"}
    predicted = "".join(
        one if (number // 20 % 2 == 0) != (number % 7 == 0) else other[one] for number, one in enumerate(truth)
    )
    return judged(truth, predicted, "".join("uvwxyz"[number // 20] for number in range(120)))


def test_an_interval_over_speakers_is_scipy_s_and_one_over_recordings_is_not() -> None:
    scored = _unlike_speakers()
    expected = _by_scipy(scored)
    over = {
        what: evaluate(scored, resampled=what).uar_interval  # type: ignore[arg-type]
        for what in ("speakers", "recordings")
    }
    assert over["speakers"] == pytest.approx(expected, abs=0.03)
    assert expected[1] - expected[0] > 2 * (over["recordings"][1] - over["recordings"][0])
    alike = random_samples(140, speakers=tuple("uvwxyz"))
    assert evaluate(alike, resampled="speakers").uar_interval == pytest.approx(_by_scipy(alike), abs=0.03)


@pytest.mark.parametrize(
    ("protocol", "over"),
    [
        ("holdout", "recordings"),
        ("kfold", "recordings"),
        ("loso", "speakers"),
        ("loto", "recordings"),
        ("lolo", "speakers"),
        ("loco", "recordings"),
    ],
)
def test_what_each_protocol_s_interval_is_over(
    protocol: str, over: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ser.steps.cross_validation.write_report", lambda *_: None)  # its pictures take their time
    scored = _unlike_speakers()

    def write(folder: Path) -> None:
        scored.save(folder / SCORES)
        facts = {"fold": "1", "all_folds": ["1"], "protocol": protocol, "model_type": "K", "random_state": 1}
        write_json(folder / FOLD, {**facts, "source": "s", "settings": {}})

    make_folder(tmp_path / "fold", {"protocol": protocol}, write)
    pooled = summarise([tmp_path / "fold"], tmp_path / "report").pooled
    assert pooled.uar_interval_over == over
    low, high = _by_scipy(scored)
    wide = pooled.uar_interval[1] - pooled.uar_interval[0]
    assert (wide > 0.8 * (high - low)) == (over == "speakers")


def test_every_protocol_is_in_the_table_above() -> None:
    (mark,) = test_what_each_protocol_s_interval_is_over.pytestmark  # type: ignore[attr-defined]
    assert [protocol for protocol, _ in mark.args[1]] == [str(one) for one in Protocol]
