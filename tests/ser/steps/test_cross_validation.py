from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ser.config import parse
from ser.errors import ConfigError, DamagedError, TrainingError
from ser.evaluation import ScoredSamples
from ser.evaluation.split import Protocol, folds, validation_names
from ser.progress import Progress
from ser.request import CrossValidationConfig
from ser.steps.cross_validation import PREDICTIONS, SCORES, plan_folds, summarise, train_fold
from ser.steps.feature_extraction import load_features
from ser.steps.protocol import FOLDS, REPORT, cross_validate
from tests.forgery import forge_stamp


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


def test_figures_are_pooled_over_the_folds_and_kept_of_each_seed(features: Path, tmp_path: Path) -> None:
    settings = config(protocol="kfold", folds=2)
    told: list[Progress] = []
    result = cross_validate(features, tmp_path, settings, seeds=(3, 1), workers=2, report=told.append)
    samples = load_features(features).samples
    assert [row.seed for row in result.seeds] == [1, 3]
    assert sorted((one.stage, one.done, one.total) for one in told) == [
        ("seed 1", 1, 2), ("seed 1", 2, 2), ("seed 3", 1, 2), ("seed 3", 2, 2),
    ]  # fmt: skip
    assert [one.values["uar"] for one in told if one.done == 2 and one.stage == "seed 1"] == [result.pooled.uar]
    rows = list(csv.DictReader((tmp_path / REPORT / PREDICTIONS).open(encoding="utf-8")))
    assert sorted(row["name"] for row in rows if row["seed"] == "3") == sorted(sample.name for sample in samples)
    ours = [row for row in rows if row["seed"] == "1"]
    assert sum(row["truth"] == row["prediction"] for row in ours) / len(ours) == pytest.approx(result.pooled.accuracy)
    for row in ours:
        assert float(row[f"probability_{row['prediction']}"]) == max(
            float(value) for name, value in row.items() if name.startswith("probability_")
        )
    kept = json.loads((tmp_path / REPORT / "metrics.json").read_text())
    assert kept["uar"] == result.pooled.uar
    assert kept["uar_interval_over"] == "recordings"
    assert [row["group"] for row in kept["by_fold"]] == ["fold 1", "fold 2"]
    assert sum(row["samples"] for row in kept["by_fold"]) == len(samples)
    assert kept["over_seeds"]["uar"]["mean"] == pytest.approx(sum(row["uar"] for row in kept["by_seed"]) / 2)
    page = (tmp_path / REPORT / "report.html").read_text()
    assert "fold 2" in page
    assert "dealt by seeds 1, 3" in page
    assert "each judged on the files that it has not heard" in page

    told.clear()
    victim = next(folder for folder in (tmp_path / FOLDS).iterdir() if folder.is_dir())
    shutil.rmtree(victim)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / FOLDS).glob(f"*/{SCORES}")}
    again = cross_validate(features, tmp_path, settings, seeds=(1, 3), report=told.append)
    assert len(told) == 4
    assert again.to_dict() == result.to_dict()
    assert all(path.stat().st_mtime_ns == moment for path, moment in before.items())
    assert (victim / SCORES).is_file()


@pytest.mark.parametrize(
    ("settings", "sentence", "over"),
    [
        (
            {"group": "speaker", "folds": 3},
            "3 folds, dealt by seed 42 so that all recordings of one speaker are in the same fold: 3 models, each "
            "judged on the files that it has not heard. No speaker is on both sides.",
            "speakers",
        ),
        (
            {"fold_file": "mine.csv"},
            "2 folds as mine.csv has them: 2 models, each judged on the files that it has not heard. Speakers may be "
            "on both sides.",
            "recordings",
        ),
        (
            {"fold_file": "mine.csv", "group": "session", "folds": 2},
            "2 folds, dealt by seed 42 so that all recordings of one session are in the same fold (session as mine.csv "
            "has it): 2 models, each judged on the files that it has not heard. Speakers may be on both sides.",
            "recordings",
        ),
    ],
    ids=["group", "file", "column"],
)
def test_folds_of_groups_and_of_a_file_are_trained_and_told(
    settings: dict[str, object],
    sentence: str,
    over: str,
    features: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    samples = load_features(features).samples
    rows = [f"{sample.name},{number % 2},{number % 5}\n" for number, sample in enumerate(samples)]
    (tmp_path / "mine.csv").write_text("file,fold,session\n" + "".join(rows))
    monkeypatch.chdir(tmp_path)
    asked = config(protocol="kfold", model_config={"epochs": 1}, **settings)
    result = cross_validate(features, tmp_path / "out", asked, workers=2)
    assert result.pooled.samples == len(samples)
    assert result.pooled.uar_interval_over == over
    assert sentence in (tmp_path / "out" / REPORT / "report.html").read_text()
    assert len(plan_folds(samples, asked)) == len(list((tmp_path / "out").glob(f"*/*/{SCORES}")))


def test_a_fold_in_a_worker_is_the_fold_trained_here(features: Path, tmp_path: Path) -> None:
    settings = config(protocol="holdout")
    cross_validate(features, tmp_path, settings)
    (there,) = (tmp_path / FOLDS).glob(f"*/{SCORES}")
    train_fold(features, tmp_path / "here", settings, "holdout")
    here, there_too = ScoredSamples.load(tmp_path / "here" / SCORES), ScoredSamples.load(there)
    assert here.names == there_too.names == plan_test(features)
    np.testing.assert_allclose(here.probabilities, there_too.probabilities, atol=1e-5)
    # Again by force: the fold is trained again, though it is there.
    before = there.stat().st_ino, there.stat().st_mtime_ns
    cross_validate(features, tmp_path, settings)
    assert (there.stat().st_ino, there.stat().st_mtime_ns) == before
    cross_validate(features, tmp_path, settings, force=True)
    assert (there.stat().st_ino, there.stat().st_mtime_ns) != before


def plan_test(features: Path) -> tuple[str, ...]:
    return validation_names(load_features(features).samples, 42)


def test_a_fold_that_fails_in_a_worker_ends_the_whole_with_its_own_words(features: Path, tmp_path: Path) -> None:
    settings = config(protocol="kfold", folds=2, model_config={"epochs": 1})
    copy = Path(shutil.copytree(features, tmp_path / "features"))
    rows = np.load(copy / "rows.npy")
    rows[:] = np.inf
    np.save(copy / "rows.npy", rows)
    forge_stamp(copy)
    with pytest.raises(TrainingError, match=r"fold \d, seed 42: the training diverged"):
        cross_validate(copy, tmp_path / "out", settings)
    assert not (tmp_path / "out" / REPORT).exists()
    assert not list((tmp_path / "out").glob(f"*/*/{SCORES}"))


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
    names = plan_folds(load_features(features).samples, settings)
    for name in names:
        train_fold(features, tmp_path / name, settings, name)
    train_fold(features, tmp_path / "other", config(protocol="kfold", folds=2, model_config={"epochs": 1}), "fold 2")
    train_fold(features, tmp_path / "seed", config(protocol="kfold", folds=2, random_state=1), "fold 2")
    whole = [tmp_path / name for name in names]
    with pytest.raises(DamagedError, match="seed 42: expected each of the folds fold 1, fold 2 once, got fold 1"):
        summarise(whole[:1], tmp_path / "report")
    with pytest.raises(DamagedError, match="once, got fold 1, fold 1"):
        summarise([whole[0], whole[0]], tmp_path / "report")
    with pytest.raises(DamagedError, match="seed 1: expected each of the folds fold 1, fold 2 once, got fold 2"):
        summarise([*whole, tmp_path / "seed"], tmp_path / "report")
    with pytest.raises(DamagedError, match="folds of one cross-validation"):
        summarise([whole[0], tmp_path / "other"], tmp_path / "report")
    assert not (tmp_path / "report").exists()
