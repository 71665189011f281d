from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ser.config import parse
from ser.errors import ConfigError, DamagedError
from ser.evaluation import ScoredSamples
from ser.request import CrossValidationConfig
from ser.split import Protocol, folds
from ser.steps.cross_validation import SCORES, cross_validate, plan_folds, summarise, train_fold
from ser.steps.feature_extraction import load_features


def config(**changes: object) -> CrossValidationConfig:
    body = {"model_type": "KerasClassifier", "model_config": {"epochs": 2}, **changes}
    return parse(CrossValidationConfig, body)


def test_k_folds_are_stratified_and_follow_the_seed(features: Path) -> None:
    samples = load_features(features).samples
    emotion_of = {sample.name: sample.emotion for sample in samples}
    found = folds(samples, Protocol.KFOLD, count=3, random_state=1)
    assert [fold.name for fold in found] == ["fold 1", "fold 2", "fold 3"]
    sizes = [len(fold.test) for fold in found]
    assert max(sizes) - min(sizes) <= 1
    for emotion in set(emotion_of.values()):
        counts = [sum(emotion_of[name] == emotion for name in fold.test) for fold in found]
        assert max(counts) - min(counts) <= 1
    assert found != folds(samples, Protocol.KFOLD, count=3, random_state=2)


def test_an_unknown_fold_is_refused(features: Path) -> None:
    with pytest.raises(ConfigError, match="fold: expected one of speaker"):
        train_fold(features, features.parent / "none", config(), "speaker 99")


def test_figures_are_pooled_over_the_folds_and_kept_of_each(features: Path, tmp_path: Path) -> None:
    settings = config(protocol="kfold", folds=2)
    pooled = cross_validate(features, tmp_path, settings)
    parts = [ScoredSamples.load(path) for path in sorted(tmp_path.glob(f"*/{SCORES}"))]
    samples = load_features(features).samples
    assert sorted(name for part in parts for name in part.names) == sorted(sample.name for sample in samples)
    hits = sum(int((part.truth == part.predicted).sum()) for part in parts)
    assert pooled.accuracy == pytest.approx(hits / len(samples))
    assert pooled.confusion.sum() == len(samples)
    recalls = np.diag(pooled.confusion) / pooled.confusion.sum(axis=1)
    assert pooled.uar == pytest.approx(recalls.mean())
    kept = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert [row["group"] for row in kept["by_fold"]] == ["fold 1", "fold 2"]
    assert sum(row["samples"] for row in kept["by_fold"]) == len(samples)
    page = (tmp_path / "report" / "report.html").read_text()
    assert "fold 2" in page
    assert "each judged on the files that it has not heard" in page


def test_a_fold_that_is_there_is_not_trained_again(features: Path, tmp_path: Path) -> None:
    settings = config(protocol="kfold", folds=2)
    told: list[object] = []
    first = train_fold(features, tmp_path / "fold", settings, "fold 1", report=told.append)
    assert told
    told.clear()
    assert train_fold(features, tmp_path / "fold", settings, "fold 1", report=told.append) == first
    assert not told


def test_folds_that_do_not_make_a_whole_are_refused(features: Path, tmp_path: Path) -> None:
    settings = config(protocol="kfold", folds=2)
    names = plan_folds(features, settings)
    for name in names:
        train_fold(features, tmp_path / name, settings, name)
    train_fold(features, tmp_path / "other", config(protocol="kfold", folds=2, random_state=1), "fold 2")
    whole = [tmp_path / name for name in names]
    with pytest.raises(DamagedError, match="expected each of the folds fold 1, fold 2 once, got fold 1"):
        summarise(whole[:1], tmp_path / "report")
    with pytest.raises(DamagedError, match="once, got fold 1, fold 1"):
        summarise([whole[0], whole[0]], tmp_path / "report")
    with pytest.raises(DamagedError, match="folds of one cross-validation"):
        summarise([whole[0], tmp_path / "other"], tmp_path / "report")
    assert not (tmp_path / "report").exists()
