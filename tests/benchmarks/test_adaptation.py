"""Figures by which one may choose: each cell by another way, and a whole run that trains what is missing alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import adaptation
from benchmarks.speaker_figures import Judged, parts_of
from ser.dataset import Dataset
from ser.evaluation.split import Protocol, folds
from ser.steps.feature_extraction import load_features

EMODB = [f"speaker {number}" for number in ("03", "08", "09", "10", "11", "12", "13")]
Record = dict[str, Any]


def record(truth: list[int], predicted: list[int]) -> Record:
    return {"truth": truth, "predicted": {str(clips): predicted for clips in adaptation.CLIPS}, "seconds": 1.0}


def made_up(seed: int, right: float) -> dict[str, Record]:
    """Folds of EmoDB's first speakers, so many of whose recordings are told right."""
    chance = np.random.default_rng(seed)
    truths = np.random.default_rng(0).integers(0, 3, (len(EMODB), 12))
    return {
        name: record(truth.tolist(), np.where(chance.random(12) < right, truth, (truth + 1) % 3).tolist())
        for name, truth in zip(EMODB, truths, strict=True)
    }


def numbers(cell: str) -> list[float]:
    return [float(word) for word in cell.translate(str.maketrans("[],±", "    ")).split()]


def uar(truth: Any, predicted: Any) -> float:
    truth, predicted = np.array(truth), np.array(predicted)
    return 100 * float(np.mean([(predicted[truth == one] == one).mean() for one in np.unique(truth)]))


def redrawn(seeds: list[dict[str, Record]], draws: list[Any]) -> list[float]:
    """The mean UAR over seeds of each draw of speakers, the long way round."""
    found = []
    for draw in draws:
        of_seeds = [
            uar(
                np.concatenate([seed[EMODB[one]]["truth"] for one in draw]),
                np.concatenate([seed[EMODB[one]]["predicted"]["0"] for one in draw]),
            )
            for seed in seeds
        ]
        found.append(float(np.mean(of_seeds)))
    return found


ONE, OTHER = ([made_up(10 * which + seed, right) for seed in range(2)] for which, right in ((1, 0.8), (2, 0.6)))


def test_a_cell_is_mean_deviation_and_interval_over_speakers_and_a_pair_has_the_same_draws() -> None:
    one, other = (Judged.of(seeds, EMODB, "0") for seeds in (ONE, OTHER))
    chance = np.random.default_rng(4)
    draws = [chance.integers(0, len(EMODB), len(EMODB)) for _ in range(2_000)]
    mine, theirs = redrawn(ONE, draws), redrawn(OTHER, draws)
    mean, deviation, low, high = numbers(one.cell())
    assert [mean, deviation] == pytest.approx([np.mean(one.uars), abs(one.uars[0] - one.uars[1]) / 2**0.5], abs=0.06)
    assert one.uars == pytest.approx([redrawn([seed], [range(len(EMODB))])[0] for seed in ONE])
    assert [low, high] == pytest.approx(np.percentile(mine, (2.5, 97.5)).tolist(), abs=0.7)
    difference, low, high = numbers(one.against(other))
    assert difference == pytest.approx(np.mean(one.uars) - np.mean(other.uars), abs=0.06)
    wanted = np.percentile(np.subtract(mine, theirs), (2.5, 97.5)).tolist()
    assert [low, high] == pytest.approx(wanted, abs=0.7)
    assert numbers(one.against(one)) == [0, 0, 0]


def test_other_recordings_are_no_pair() -> None:
    with pytest.raises(ValueError, match="the same recordings"):
        Judged.of(ONE, EMODB, "0").against(Judged.of(OTHER, EMODB[1:], "0"))


def test_emodb_has_development_speakers_and_others_apart_and_no_other_corpus() -> None:
    assert parts_of(EMODB) == {"all": EMODB, "development": EMODB[:5], "untouched": EMODB[5:]}
    assert parts_of(["speaker f1", "speaker m1"]) == {"all": ["speaker f1", "speaker m1"]}


def test_only_what_is_not_done_is_trained_and_all_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, out = "embedded:?clips=28", tmp_path / "out.json"
    features = load_features(Dataset(tmp_path / "data", corpus).features_for("KerasClassifier"))
    plan = folds(features.samples, Protocol.LOSO)
    classes, emotions = features.classes, {sample.name: sample.emotion for sample in features.samples}
    truths = {fold.name: [classes.index(emotions[name]) for name in fold.test] for fold in plan}
    types = ["KerasClassifier", "KerasDropoutClassifier"]
    done = {f"{one}/3/{name}": record(truth, truth) for one in types for name, truth in truths.items()}
    missing = f"KerasClassifier/3/{plan[0].name}"
    del done[missing]
    out.write_text(json.dumps(done))
    asked = ["--corpus", corpus, "--model-type", *types, "--seeds", "3", "--data", tmp_path / "data", "--out", out]
    monkeypatch.setattr(sys, "argv", ["adaptation", *map(str, asked)])
    adaptation.main()
    kept = json.loads(out.read_text())
    assert {name: kept[name] for name in done} == done
    assert kept.keys() - done.keys() == {missing}
    assert sorted(kept[missing]["truth"]) == sorted(truths[plan[0].name])
    assert kept[missing]["predicted"].keys() == {"0", "1", "3", "5", "10", "20", "all"}
    said = capsys.readouterr().out
    assert "KerasDropoutClassifier, UAR %" in said
    assert "100.0 ± 0.0 [100.0, 100.0]" in said
    assert "KerasClassifier minus KerasDropoutClassifier, points" in said
