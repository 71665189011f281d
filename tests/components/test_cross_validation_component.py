"""The end of a cross-validation: every figure by another way, from folds that are made up."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kfp import dsl
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score

from ser.evaluation import ScoredSamples
from ser.steps.cross_validation import FOLD, SCORES
from ser.storage.files import make_folder, read_json, write_json
from ser_components.evaluation.cross_validation import cross_validation
from tests.components.calling import artifact

CLASSES = ("anger", "joy", "sadness")
FOLDS = ("fold 1", "fold 2", "fold 3")


@pytest.fixture
def folds(tmp_path: Path) -> dict[str, ScoredSamples]:
    """Three folds of unequal size, written as `train_fold` writes them."""
    chance = np.random.default_rng(5)
    made = {}
    for number, name in enumerate(FOLDS):
        count = 20 + 10 * number
        truth = [*range(3), *chance.integers(0, 3, count - 3)]
        logits = chance.normal(size=(count, 3)) + 1.5 * np.eye(3)[truth]
        made[name] = ScoredSamples(
            names=tuple(f"{number}-{place:02}.wav" for place in range(count)),
            speakers=tuple(f"s{place % 4}" for place in range(count)),
            genders=("male",) * count,
            labels=tuple(CLASSES[one] for one in truth),
            classes=CLASSES,
            probabilities=(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32),
        )
        facts = {
            "fold": name, "all_folds": list(FOLDS), "protocol": "kfold", "model_type": "KerasClassifier",
            "random_state": 42, "source": "made up", "settings": {}, "group": "",
            "fold_file": "", "speakers_unheard": False, "enrolled": "",
        }  # fmt: skip

        def write(folder: Path, scored: ScoredSamples = made[name], facts: dict[str, Any] = facts) -> None:
            scored.save(folder / SCORES)
            write_json(folder / FOLD, facts)

        make_folder(tmp_path / name, {"fold": name}, write)
    return made


def expected(folds: dict[str, ScoredSamples]) -> dict[str, float]:
    truth = [label for one in folds.values() for label in one.labels]
    probabilities = np.concatenate([one.probabilities for one in folds.values()]).astype(float)
    predicted = [CLASSES[place] for place in probabilities.argmax(axis=1)]
    of_fold = {
        name: balanced_accuracy_score(one.labels, [CLASSES[place] for place in one.probabilities.argmax(axis=1)])
        for name, one in folds.items()
    }
    hits = np.array([one == other for one, other in zip(truth, predicted, strict=True)])
    confidence = probabilities.max(axis=1)
    bins = np.ceil(confidence * 15)
    gaps = [abs(hits[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean() for b in set(bins)]
    right = np.array([[label == name for name in CLASSES] for label in truth], float)
    return {
        "uar": balanced_accuracy_score(truth, predicted),
        "uar_fold_mean": statistics.mean(of_fold.values()),
        "uar_fold_deviation": statistics.stdev(of_fold.values()),
        "accuracy": accuracy_score(truth, predicted),
        "macro_f1": f1_score(truth, predicted, average="macro"),
        "chance": 1 / 3,
        "ece": sum(gaps),
        "brier": ((probabilities - right) ** 2).sum(axis=1).mean(),
        **{f"uar, {name}": value for name, value in of_fold.items()},
    }


def test_every_figure_of_all_folds(
    folds: dict[str, ScoredSamples], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs: dict[str, Any] = {
        "metrics": dsl.Metrics(uri=str(tmp_path / "metrics")),
        "classification": dsl.ClassificationMetrics(uri=str(tmp_path / "classification")),
        "report": dsl.HTML(uri=str(tmp_path / "page")),
    }
    cross_validation.python_func(scores=[artifact(tmp_path / name) for name in reversed(FOLDS)], **outputs)
    metrics = outputs["metrics"].metadata
    figures = expected(folds)
    assert {name: metrics[name] for name in figures} == pytest.approx(figures, abs=1e-6)
    assert len({round(value, 6) for value in figures.values()}) == len(figures)  # none can stand for another
    for name in ("uar", "accuracy"):
        assert metrics[f"{name}_95_low"] < metrics[name] < metrics[f"{name}_95_high"]
    for end in ("low", "high"):
        assert metrics[f"uar_95_{end}"] != metrics[f"accuracy_95_{end}"]
    bounds = {f"{name}_95_{end}" for name in ("uar", "accuracy") for end in ("low", "high")}
    assert set(metrics) == set(figures) | bounds
    # Wilson's interval is another than the bootstrap's of the UAR.
    assert abs(wilson(metrics["accuracy"], 90)[0] - metrics["accuracy_95_low"]) < 1e-6
    assert abs(wilson(metrics["accuracy"], 90)[1] - metrics["accuracy_95_high"]) < 1e-6
    assert capsys.readouterr().out.splitlines()[-1] == f"metrics {json.dumps(metrics)}"
    matrix = outputs["classification"].metadata["confusionMatrix"]
    assert [one["displayName"] for one in matrix["annotationSpecs"]] == list(CLASSES)
    pooled = ScoredSamples(
        *(
            sum((getattr(one, column) for one in folds.values()), ())
            for column in ("names", "speakers", "genders", "labels")
        ),
        CLASSES,
        np.concatenate([one.probabilities for one in folds.values()]),
    )
    predicted = [CLASSES[place] for place in pooled.probabilities.argmax(axis=1)]
    assert [row["row"] for row in matrix["rows"]] == confusion_matrix(pooled.labels, predicted).tolist()
    assert "<html" in (tmp_path / "page").read_text()


def test_a_single_fold_has_no_spread_which_is_told_as_none(folds: dict[str, ScoredSamples], tmp_path: Path) -> None:
    name = FOLDS[0]

    def write(folder: Path) -> None:
        folds[name].save(folder / SCORES)
        write_json(folder / FOLD, {**read_json(tmp_path / name / FOLD), "all_folds": [name]})

    make_folder(tmp_path / "alone", {"fold": "alone"}, write)
    metrics = dsl.Metrics(uri=str(tmp_path / "metrics"))
    cross_validation.python_func(
        scores=[artifact(tmp_path / "alone")],
        metrics=metrics,
        classification=dsl.ClassificationMetrics(uri=str(tmp_path / "classification")),
        report=dsl.HTML(uri=str(tmp_path / "page")),
    )
    assert metrics.metadata["uar_fold_deviation"] == 0.0
    assert metrics.metadata["uar_fold_mean"] == metrics.metadata["uar"]


def wilson(share: float, count: int) -> tuple[float, float]:
    from scipy.stats import binomtest

    low, high = binomtest(round(share * count), count).proportion_ci(0.95, method="wilson")
    return float(low), float(high)


def test_a_fold_that_is_missing_or_comes_twice_ends_the_step(
    folds: dict[str, ScoredSamples], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(folds) == set(FOLDS)
    for given in (FOLDS[:2], (*FOLDS, FOLDS[0]), ()):
        with pytest.raises(SystemExit) as ended:
            cross_validation.python_func(
                scores=[artifact(tmp_path / name) for name in given],
                metrics=dsl.Metrics(uri=str(tmp_path / "metrics")),
                classification=dsl.ClassificationMetrics(uri=str(tmp_path / "classification")),
                report=dsl.HTML(uri=str(tmp_path / "page")),
            )
        assert ended.value.code == 6
        assert "expected" in capsys.readouterr().err
        assert not (tmp_path / "page").exists()
