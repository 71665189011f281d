"""Training and evaluation: each parameter, by a value that is not its default, does what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kfp import dsl

from ser.bundles.bundle import REPORT, Bundle
from ser.bundles.model_store import list_models, read_receipt
from ser.config import parse
from ser.corpora.folder import load_manifest
from ser.dataset import Dataset
from ser.evaluation import ScoredSamples
from ser.request import CrossValidationConfig, TrainingConfig
from ser.steps.cross_validation import SCORES
from ser.steps.cross_validation import train_fold as train_fold_in_process
from ser.steps.training import model_id as name_of
from ser.storage.files import STAMP, read_json
from ser_components.evaluation.component import evaluation
from ser_components.evaluation.folds import plan_folds
from ser_components.training.component import training
from ser_components.training.fold import train_fold
from tests.components.calling import artifact, call

USUAL: dict[str, Any] = {"random_state": 42, "model_type": "KerasClassifier", "model_config": {"epochs": 1}}
CHANGED: dict[str, Any] = {
    "random_state": 7,
    "model_type": "KerasDropoutClassifier",
    "model_config": {"epochs": 2, "batch_size": 16},
}


@pytest.fixture
def corpus(dataset: Dataset) -> Path:
    dataset.prepare()
    return dataset.extract()


@pytest.mark.parametrize("setting", sorted(CHANGED))
def test_a_training_follows_each_setting(setting: str, features: Path, tmp_path: Path) -> None:
    asked = {**USUAL, setting: CHANGED[setting]}
    model = dsl.Model(uri=str(tmp_path / "model"))
    training.python_func(features=artifact(features), model=model, **asked)
    manifest = Bundle(tmp_path / "model").manifest
    assert manifest.model_id == name_of(features, parse(TrainingConfig, asked))
    assert (manifest.random_state, manifest.model_type) == (asked["random_state"], asked["model_type"])
    assert len(manifest.history["loss"]) == asked["model_config"]["epochs"]
    assert manifest.hyperparameters["batch_size"] == asked["model_config"].get("batch_size", 32)
    assert model.metadata == {
        "framework": "keras",
        "model_id": manifest.model_id,
        "model_type": manifest.model_type,
        "classes": list(manifest.classes),
    }


FOLD: dict[str, Any] = {
    **CHANGED, "model_config": {"epochs": 1}, "protocol": "kfold", "folds": 3, "group": "text",
    "fold_file": "", "enrollment_clips": "2", "enrollment_of": "corpus", "fold": "fold 3",
}  # fmt: skip
"""None is a default, of the request or of the pipeline."""


def test_a_fold_follows_every_setting(features: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = artifact(tmp_path / "scores")
    train_fold.python_func(features=artifact(features), scores=scores, **FOLD)
    said = capsys.readouterr().out
    made_from = read_json(tmp_path / "scores" / STAMP)["made_from"]
    wanted = {**FOLD, "enrollment_clips": 2}
    wanted.pop("model_config")
    assert {name: made_from[name] for name in wanted} == wanted
    assert made_from["model_config"]["epochs"] == 1
    # By another way: what the library makes of the same settings.
    config = parse(CrossValidationConfig, {name: value for name, value in FOLD.items() if name != "fold"})
    row = train_fold_in_process(features, tmp_path / "again", config, "fold 3")
    ours, theirs = (ScoredSamples.load(tmp_path / name / SCORES) for name in ("scores", "again"))
    assert ours.names == theirs.names
    np.testing.assert_array_equal(ours.probabilities, theirs.probabilities)
    assert scores.metadata == {"fold": "fold 3", "uar": row.uar, "accuracy": row.accuracy}
    assert said.splitlines()[-1] == f"fold 3: UAR {row.uar:.3f}, accuracy {row.accuracy:.3f}, {row.samples} recordings"


def test_a_fold_may_hear_every_clip(features: Path, tmp_path: Path) -> None:
    call(train_fold, features=features, scores=tmp_path / "scores", **{**FOLD, "enrollment_clips": "all"})
    assert read_json(tmp_path / "scores" / STAMP)["made_from"]["enrollment_clips"] == "all"


def test_a_fold_may_be_one_of_a_file(corpus: Path, features: Path, tmp_path: Path) -> None:
    names = [clip.name for clip in load_manifest(corpus).clips]
    (tmp_path / "mine.csv").write_text(
        "file,fold\n" + "".join(f"{name},{number % 4}\n" for number, name in enumerate(names))
    )
    asked = {**FOLD, "group": "", "fold_file": str(tmp_path / "mine.csv"), "fold": "fold 3"}
    call(train_fold, features=features, scores=tmp_path / "scores", **asked)
    assert ScoredSamples.load(tmp_path / "scores" / SCORES).names == tuple(names[3::4])


PLAN: dict[str, Any] = {**USUAL, "protocol": "kfold", "folds": 10, "group": "", "fold_file": ""}


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"folds": 3}, ["fold 1", "fold 2", "fold 3"]),
        ({"folds": 2, "random_state": 7}, ["fold 1", "fold 2"]),
        ({"protocol": "holdout"}, None),
        ({"protocol": "loso"}, None),
        ({"group": "gender", "folds": 2}, ["fold 1", "fold 2"]),
        ({"fold_file": "folds.csv"}, ["fold one", "fold two"]),
    ],
)
def test_the_folds_are_those_of_the_protocol(
    changes: dict[str, Any],
    names: list[str] | None,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    clips = load_manifest(corpus).clips
    rows = [f"{clip.name},{('one', 'two')[number % 2]}\n" for number, clip in enumerate(clips)]
    (tmp_path / "folds.csv").write_text("file,fold\n" + "".join(rows))
    monkeypatch.chdir(tmp_path)
    planned = call(plan_folds, corpus=corpus, **{**PLAN, **changes})
    assert type(planned) is list  # KFP takes nothing else
    if names:
        assert planned == names
    elif changes["protocol"] == "holdout":
        assert len(planned) == 1
    else:
        assert len(planned) > 2
        assert all(name.startswith("speaker ") for name in planned)
    told = "1 training, of 1 fold" if len(planned) == 1 else f"{len(planned)} trainings, of {len(planned)} folds"
    assert capsys.readouterr().out == f"{changes.get('protocol', 'kfold')}: {told}\n"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"protocol": "jackknife"}, "protocol"),
        ({"folds": 1}, "folds"),
        ({"group": "session"}, "group"),
        ({"protocol": "loso", "group": "", "fold_file": "folds.csv"}, "fold_file"),
        ({"random_state": -1}, "random_state"),
        ({"model_type": "Perceptron"}, "model_type"),
        ({"model_config": {"epoch": 1}}, "model_config.epoch"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_setting_fails_before_any_fold(
    wrong: dict[str, Any],
    says: str,
    corpus: Path,
    features: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        call(plan_folds, corpus=corpus, **{**PLAN, **wrong})
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"ser: {says}")
    with pytest.raises(SystemExit):
        call(train_fold, features=features, scores=tmp_path / "scores", **{**FOLD, **wrong})
    assert capsys.readouterr().err.startswith(f"ser: {says}")
    if says in ("random_state", "model_type", "model_config.epoch"):
        with pytest.raises(SystemExit):
            call(training, features=features, model=tmp_path / "model", **{**USUAL, **wrong})
        assert capsys.readouterr().err.startswith(f"ser: {says}")


class Evaluated:
    """What the evaluation step leaves."""

    def __init__(self, bundle: Bundle, features: Path, folder: Path, **settings: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.metrics = dsl.Metrics(uri=str(folder / "metrics"))
        self.classification = dsl.ClassificationMetrics(uri=str(folder / "classification"))
        self.report = dsl.HTML(uri=str(folder / "report"))
        self.answer = evaluation.python_func(
            features=artifact(features),
            model=dsl.Model(uri=str(bundle.folder)),
            metrics=self.metrics,
            classification=self.classification,
            report=self.report,
            **{"model_save_path": str(folder / "models"), "minimum_uar": 0.0, "receipt": "", **settings},
        )


def test_an_evaluation_tells_the_figures_everywhere_and_saves_the_model(
    bundle: Bundle, features: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = Evaluated(bundle, features, tmp_path, model_save_path=str(tmp_path / "elsewhere"), receipt="job-1")
    said = capsys.readouterr().out.splitlines()
    manifest = bundle.manifest
    assert done.answer == manifest.model_id
    assert list_models(tmp_path / "elsewhere") == [manifest.model_id]
    page = (tmp_path / "elsewhere" / manifest.model_id / REPORT / "report.html").read_text()
    assert (tmp_path / "report").read_text() == page
    # By scikit-learn, from what the model says.
    figures = figures_of(bundle)
    metrics = done.metrics.metadata
    assert metrics["accuracy_95_low"] < metrics["accuracy"] < metrics["accuracy_95_high"]
    told = {name: metrics[name] for name in figures}
    assert told == pytest.approx(figures)
    assert set(metrics) == {*figures, "accuracy_95_low", "accuracy_95_high"}
    assert said[-1] == f"metrics {json.dumps(metrics)}"
    assert said[-2] == f"saved {manifest.model_id}: UAR {metrics['uar']:.3f} reaches minimum_uar = 0"
    assert_matrix(done.classification, bundle)
    assert read_receipt(tmp_path / "elsewhere", "job-1") == {
        "model_id": manifest.model_id, "uar": metrics["uar"], "minimum_uar": 0.0,
    }  # fmt: skip


def figures_of(bundle: Bundle) -> dict[str, float]:
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

    validation = bundle.validation
    probabilities = validation.average(bundle.predict(validation.rows))
    predicted = [bundle.manifest.classes[place] for place in probabilities.argmax(axis=1)]
    truth = [sample.emotion for sample in validation.samples]
    return {
        "uar": balanced_accuracy_score(truth, predicted),
        "accuracy": accuracy_score(truth, predicted),
        "macro_f1": f1_score(truth, predicted, average="macro"),
        "chance": 1 / len(bundle.manifest.classes),
    }


def assert_matrix(classification: dsl.ClassificationMetrics, bundle: Bundle) -> None:
    """Rows are the truth, in the order of the classes; the ROC rises from 0 to 1."""
    matrix = classification.metadata["confusionMatrix"]
    assert [one["displayName"] for one in matrix["annotationSpecs"]] == list(bundle.manifest.classes)
    truth = [sample.emotion for sample in bundle.validation.samples]
    assert [sum(row["row"]) for row in matrix["rows"]] == [truth.count(name) for name in bundle.manifest.classes]
    curve = classification.metadata["confidenceMetrics"]
    for name in ("recall", "falsePositiveRate"):
        values = [point[name] for point in curve]
        assert values == sorted(values)
        assert (values[0], values[-1]) == (0, 1)
    thresholds = [point["confidenceThreshold"] for point in curve]
    assert thresholds == sorted(thresholds, reverse=True)
    # A curve of a model that has learnt lies above the diagonal: recall and false alarms are not mixed up.
    assert np.mean([point["recall"] - point["falsePositiveRate"] for point in curve]) > 0


def test_a_model_below_the_least_uar_is_not_saved_but_reported(
    bundle: Bundle, features: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uar = bundle.manifest.metrics["uar"]
    assert 0 < uar < 1
    above = Evaluated(bundle, features, tmp_path / "above", minimum_uar=uar + 1e-6, receipt="job-2")
    said = capsys.readouterr().out
    assert above.answer == ""
    assert f"saved nothing: UAR {uar:.3f} is below minimum_uar = {uar + 1e-6:g}" in said
    assert list_models(tmp_path / "above" / "models") == []
    assert read_receipt(tmp_path / "above" / "models", "job-2") == {
        "model_id": "", "uar": uar, "minimum_uar": uar + 1e-6,
    }  # fmt: skip
    assert "<html" in (tmp_path / "above" / "report").read_text()
    assert above.metrics.metadata["uar"] == uar
    exactly = Evaluated(bundle, features, tmp_path / "exactly", minimum_uar=uar)
    assert exactly.answer == bundle.manifest.model_id
    saved = [path.name for path in (tmp_path / "exactly" / "models").iterdir() if path.suffix != ".lock"]
    assert saved == [bundle.manifest.model_id]  # no receipt where none is asked for


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"minimum_uar": 1.5}, "minimum_uar"),
        ({"receipt": "../x"}, "receipt"),
        ({"model_save_path": ""}, "model_save_path"),
    ],
)
def test_a_wrong_setting_of_the_evaluation_is_named(
    wrong: dict[str, Any], says: str, bundle: Bundle, features: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        Evaluated(bundle, features, tmp_path, **wrong)
    assert capsys.readouterr().err.startswith(f"ser: {says}")
