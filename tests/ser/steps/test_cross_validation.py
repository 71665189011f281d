from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ser.config import parse
from ser.errors import ConfigError, CorpusError, DamagedError
from ser.evaluation import ScoredSamples
from ser.request import CrossValidationConfig
from ser.split import Protocol, folds
from ser.steps.cross_validation import SCORES, cross_validate, plan_folds, summarise, train_fold
from ser.steps.feature_extraction import load_features


def config(**changes: object) -> CrossValidationConfig:
    body = {"model_type": "KerasClassifier", "model_config": {"epochs": 2}, **changes}
    return parse(CrossValidationConfig, body)


@pytest.mark.parametrize("protocol", list(Protocol))
def test_every_file_is_held_out_once(features: Path, protocol: Protocol) -> None:
    samples = load_features(features).samples
    found = folds(samples, protocol, count=3, random_state=1)
    held_out = [name for names in found.values() for name in names]
    assert sorted(held_out) == sorted(sample.name for sample in samples)
    assert found == folds(tuple(reversed(samples)), protocol, count=3, random_state=1)


def test_a_speaker_is_on_one_side_only(features: Path) -> None:
    samples = load_features(features).samples
    speaker_of = {sample.name: sample.speaker for sample in samples}
    found = folds(samples, Protocol.LEAVE_ONE_SPEAKER_OUT)
    assert len(found) == len(set(speaker_of.values()))
    for fold, names in found.items():
        assert {f"speaker {speaker_of[name]}" for name in names} == {fold}


def test_k_folds_are_stratified_and_follow_the_seed(features: Path) -> None:
    samples = load_features(features).samples
    emotion_of = {sample.name: sample.emotion for sample in samples}
    found = folds(samples, Protocol.K_FOLD, count=3, random_state=1)
    assert list(found) == ["fold 1", "fold 2", "fold 3"]
    assert max(map(len, found.values())) - min(map(len, found.values())) <= 1
    for emotion in set(emotion_of.values()):
        counts = [sum(emotion_of[name] == emotion for name in names) for names in found.values()]
        assert max(counts) - min(counts) <= 1
    assert found != folds(samples, Protocol.K_FOLD, count=3, random_state=2)


def test_what_cannot_be_split_is_refused(features: Path) -> None:
    samples = load_features(features).samples
    with pytest.raises(CorpusError, match="expected at least 100 files of each emotion"):
        folds(samples, Protocol.K_FOLD, count=100)
    alone = [sample for sample in samples if sample.speaker == samples[0].speaker]
    with pytest.raises(CorpusError, match="expected at least two speakers, got speaker"):
        folds(alone, Protocol.LEAVE_ONE_SPEAKER_OUT)
    with pytest.raises(ConfigError, match="fold: expected one of speaker"):
        train_fold(features, features.parent / "none", config(), "speaker 99")


def test_figures_are_pooled_over_the_folds_and_kept_of_each(features: Path, tmp_path: Path) -> None:
    settings = config(protocol="k-fold", folds=2)
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
    settings = config(protocol="k-fold", folds=2)
    told: list[object] = []
    first = train_fold(features, tmp_path / "fold", settings, "fold 1", report=told.append)
    assert told
    told.clear()
    assert train_fold(features, tmp_path / "fold", settings, "fold 1", report=told.append) == first
    assert not told


def test_folds_that_do_not_make_a_whole_are_refused(features: Path, tmp_path: Path) -> None:
    settings = config(protocol="k-fold", folds=2)
    names = plan_folds(features, settings)
    for name in names:
        train_fold(features, tmp_path / name, settings, name)
    train_fold(features, tmp_path / "other", config(protocol="k-fold", folds=2, random_state=1), "fold 2")
    whole = [tmp_path / name for name in names]
    with pytest.raises(DamagedError, match="expected each of the folds fold 1, fold 2 once, got fold 1"):
        summarise(whole[:1], tmp_path / "report")
    with pytest.raises(DamagedError, match="once, got fold 1, fold 1"):
        summarise([whole[0], whole[0]], tmp_path / "report")
    with pytest.raises(DamagedError, match="folds of one cross-validation"):
        summarise([whole[0], tmp_path / "other"], tmp_path / "report")
    assert not (tmp_path / "report").exists()
