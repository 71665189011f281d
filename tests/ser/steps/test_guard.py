"""The code that fits never receives the test fold: here it tries to."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import ser
from ser.bundles.bundle import Bundle
from ser.config import parse
from ser.evaluation.split import Fold, Protocol, folds
from ser.features.feature_set import FeatureSet
from ser.features.frontend import FrontEnd
from ser.features.training_set import COPIED_BYTES, TrainingRows, TrainingSet
from ser.models import MODEL_TYPES
from ser.models.keras_classifier import KerasClassifier
from ser.networks.epoch_weights import EpochWeights
from ser.progress import silent
from ser.request import CrossValidationConfig, TrainRequest
from ser.steps import cross_validation, fitting
from ser.steps.cross_validation import SCORES, plan_folds, train_fold
from ser.steps.feature_extraction import load_features, load_frontend
from ser.steps.fitting import fit_on
from ser.trainer import run
from ser_components.training.component import training

CONFIG = parse(
    CrossValidationConfig, {"model_type": "KerasClassifier", "model_config": {"epochs": 2}, "protocol": "loso"}
)


@pytest.fixture(scope="module")
def corpus(features: Path) -> FeatureSet:
    return load_features(features)


@pytest.fixture(scope="module")
def frontend(features: Path) -> FrontEnd:
    return load_frontend(features)


@pytest.fixture(scope="module")
def fold(corpus: FeatureSet) -> Fold:
    return folds(corpus.samples, Protocol.LOSO)[0]


def poisoned(corpus: FeatureSet, fold: Fold) -> FeatureSet:
    """The corpus with the test fold's rows not numbers, and its labels, speakers and texts lies."""
    rows = np.array(corpus.rows)
    rows[corpus.numbers(set(fold.test))] = np.nan
    samples = tuple(
        replace(sample, emotion="poison", speaker="poison", text="poison") if sample.name in fold.test else sample
        for sample in corpus.samples
    )
    return FeatureSet(rows, samples)


@pytest.mark.parametrize("copied_bytes", [COPIED_BYTES, 0], ids=["in memory", "on the disk"])
def test_a_poisoned_test_fold_changes_nothing(
    corpus: FeatureSet, frontend: FrontEnd, fold: Fold, copied_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = fit_on(TrainingSet.of(corpus, fold.training, frontend), CONFIG, silent)
    monkeypatch.setattr("ser.features.training_set.COPIED_BYTES", copied_bytes)
    dirty = fit_on(TrainingSet.of(poisoned(corpus, fold), fold.training, frontend), CONFIG, silent)
    assert clean.history == dirty.history
    np.testing.assert_array_equal(clean.standardiser.mean, dirty.standardiser.mean)
    np.testing.assert_array_equal(clean.standardiser.inverse_deviation, dirty.standardiser.inverse_deviation)
    for one, other in zip(clean.model.get_weights(), dirty.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_there_is_no_number_for_a_row_of_the_test_fold(
    corpus: FeatureSet, frontend: FrontEnd, fold: Fold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ser.features.training_set.COPIED_BYTES", 0)
    part = TrainingSet.of(poisoned(corpus, fold), fold.training, frontend)
    count = len(part.rows)
    assert np.isfinite(part.rows[np.arange(-count, count)]).all()
    for outside in (count, -count - 1, len(corpus.rows)):
        with pytest.raises(IndexError):
            part.rows[np.array([outside])]


def test_the_training_part_is_what_it_should_be(corpus: FeatureSet, frontend: FrontEnd, fold: Fold) -> None:
    part = TrainingSet.of(corpus, fold.training, frontend)
    expected = corpus.select(fold.training)
    assert part.samples == expected.samples
    assert part.rows.shape == expected.rows.shape
    backwards = np.arange(len(expected.rows))[::-1]
    np.testing.assert_array_equal(part.rows[backwards], expected.rows[::-1])
    np.testing.assert_array_equal(part.labels, expected.labels(corpus.classes))
    assert len(part.speakers) == len(expected.rows)
    assert set(part.speakers) == {sample.speaker for sample in corpus.samples} - {corpus_speaker(fold)}


def corpus_speaker(fold: Fold) -> str:
    return fold.name.removeprefix("speaker ")


ROOT = Path(ser.__file__).parents[1]
PLACES = tuple(ROOT / name for name in ("ser", "ser_components"))


class Cheat(KerasClassifier):
    """A model type that looks for the test part through all that it, and whoever called it, can reach."""

    wanted_rows: np.ndarray[Any, Any]
    wanted_labels: np.ndarray[Any, Any]
    wanted_names: frozenset[str]
    found: list[str]
    looked_at: list[str]

    def fit(self, *arguments: Any, **named: Any) -> Any:
        self.look_around()
        for name, value in named.items():
            self.looked_at.append(name)
            self.look(f"fit: {name}", value)
        fitted = super().fit(*arguments, **named)
        self.look_around()  # and once more, when the watch has been shown every epoch
        for name, value in named.items():
            self.look(f"fit, after the last epoch: {name}", value)
        return fitted

    def build(self, num_features: int, num_classes: int, config: Any) -> Any:
        self.look_around()
        return super().build(num_features, num_classes, config)

    def look_around(self) -> None:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if any(Path(frame.f_code.co_filename).is_relative_to(place) for place in PLACES):
                self.looked_at.append(frame.f_code.co_name)
                for name, value in frame.f_locals.items():
                    self.look(f"{frame.f_code.co_name}: {name}", value)
            frame = frame.f_back

    def look(self, where: str, value: object) -> None:
        for thing in reachable(value):
            if isinstance(thing, np.ndarray) and thing.dtype == np.float32 and thing.ndim == 2:
                if thing.shape[1] == self.wanted_rows.shape[1] and holds_any(thing, self.wanted_rows):
                    self.found.append(f"{where} leads to rows")
            elif isinstance(thing, np.ndarray) and np.array_equal(thing, self.wanted_labels):
                self.found.append(f"{where} leads to labels")
            elif isinstance(thing, str) and thing in self.wanted_names:
                self.found.append(f"{where} leads to {thing}")


def holds_any(rows: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any]) -> bool:
    return bool({row.tobytes() for row in wanted} & {row.tobytes() for row in rows})


def reachable(value: object) -> Iterator[object]:
    """All objects that a value leads to, without those that every module leads to."""
    seen: set[int] = set()
    pending: list[Any] = [value]
    while pending:
        thing = pending.pop()
        if id(thing) in seen or isinstance(thing, ModuleType | type) or is_module_namespace(thing):
            continue
        seen.add(id(thing))
        yield thing
        if isinstance(thing, np.ndarray) and thing.base is not None:
            pending.append(thing.base)
        if isinstance(thing, MethodType):
            pending.append(thing.__self__)
        elif isinstance(thing, FunctionType):
            pending += [cell.cell_contents for cell in thing.__closure__ or ()]
        elif not isinstance(thing, Cheat):
            pending += gc.get_referents(thing)


def is_module_namespace(thing: object) -> bool:
    return isinstance(thing, dict) and "__name__" in thing and "__builtins__" in thing


@pytest.fixture
def cheat(monkeypatch: pytest.MonkeyPatch) -> type[Cheat]:
    monkeypatch.setattr(Cheat, "found", [], raising=False)
    monkeypatch.setattr(Cheat, "looked_at", [], raising=False)
    MODEL_TYPES.names()
    monkeypatch.setitem(MODEL_TYPES._entries, "Cheat", Cheat)
    return Cheat


def looks_for(cheat: type[Cheat], corpus: FeatureSet, fold: Fold, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tells the cheat what to look for; the test's own variables are not searched."""
    test = corpus.select(fold.test)
    monkeypatch.setattr(cheat, "wanted_rows", test.rows, raising=False)
    monkeypatch.setattr(cheat, "wanted_labels", test.labels(corpus.classes), raising=False)
    monkeypatch.setattr(cheat, "wanted_names", frozenset(fold.test), raising=False)


CHEATING = {"model_type": "Cheat", "model_config": {"epochs": 2}}


def test_a_model_type_that_looks_for_the_test_fold_finds_nothing(
    corpus: FeatureSet, frontend: FrontEnd, fold: Fold, cheat: type[Cheat], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks_for(cheat, corpus, fold, monkeypatch)
    cheating = parse(CrossValidationConfig, CHEATING)
    fit_on(TrainingSet.of(corpus, fold.training, frontend), cheating, silent, EpochWeights())
    assert {"fit", "fit_on", "watch"} <= set(cheat.looked_at)
    assert cheat.found == []
    # It would have found them: rows and names in the training part, and whatever a watch holds.
    held_out = corpus.select(fold.test)

    def telling_watch(_: object) -> None:
        assert len(held_out.rows)

    fit_on(TrainingSet.of(corpus, (*fold.training, fold.test[0]), frontend), cheating, silent, telling_watch)
    assert {
        "fit: train_rows leads to rows",
        f"fit_on: training leads to {fold.test[0]}",
        "fit: watch leads to rows",
        f"fit: watch leads to {fold.test[0]}",
    } <= set(cheat.found)
    monkeypatch.setattr(cheat, "found", [])
    labels = held_out.labels(corpus.classes)
    telling = EpochWeights()
    telling.hint = labels  # type: ignore[attr-defined]
    fit_on(TrainingSet.of(corpus, fold.training, frontend), cheating, silent, telling)
    assert "fit: watch leads to labels" in cheat.found


def test_nothing_of_the_test_fold_is_within_reach_of_a_cross_validation_s_fit(
    corpus: FeatureSet,
    features: Path,
    fold: Fold,
    cheat: type[Cheat],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks_for(cheat, corpus, fold, monkeypatch)
    train_fold(features, tmp_path / "scores", parse(CrossValidationConfig, CHEATING), fold.name)
    assert {"train_fold", "_write"} <= set(cheat.looked_at)  # the callers' variables too
    assert cheat.found == []


def by_the_command(corpus_zip: Path, folder: Path) -> Path:
    """All steps, as `ser train` and the server's jobs run them."""
    places = {"data_path": folder / "data", "model_save_path": folder / "models", "remote_url": corpus_zip}
    result = run(parse(TrainRequest, {**CHEATING, **{name: str(path) for name, path in places.items()}}))
    return folder / "models" / result.model_id


def by_the_pipeline(features: Path, folder: Path) -> Path:
    """The training step, as its container runs it."""
    model = SimpleNamespace(path=str(folder / "model"), metadata={})
    training.python_func(SimpleNamespace(path=str(features)), 42, *CHEATING.values(), model)
    return folder / "model"


@pytest.mark.parametrize(
    ("way", "copied_bytes"), [("command", COPIED_BYTES), ("pipeline", COPIED_BYTES), ("pipeline", 0)]
)
def test_nothing_held_out_is_within_reach_of_a_training_s_fit(
    corpus: FeatureSet,
    corpus_zip: Path,
    features: Path,
    way: str,
    copied_bytes: int,
    cheat: type[Cheat],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (holdout,) = folds(corpus.samples, Protocol.HOLDOUT, random_state=42)
    looks_for(cheat, corpus, holdout, monkeypatch)
    monkeypatch.setattr("ser.features.training_set.COPIED_BYTES", copied_bytes)  # of 0, rows stay in their file
    bundle = Bundle(by_the_command(corpus_zip, tmp_path) if way == "command" else by_the_pipeline(features, tmp_path))
    assert {"fit_on", "_write", "train", "make_folder", "watch"} <= set(cheat.looked_at)
    assert ("run" in cheat.looked_at) == (way == "command")
    assert ("training" in cheat.looked_at) == (way == "pipeline")
    assert cheat.found == []
    # What it was held against is there all the same.
    assert bundle.manifest.validation_samples == holdout.test
    assert {name: len(values) for name, values in bundle.manifest.history.items()} == dict.fromkeys(
        ("loss", "accuracy", "val_loss", "val_accuracy"), 2
    )


def test_cross_validation_gives_the_fit_the_training_part_and_nothing_else(
    features: Path, tmp_path: Path, fold: Fold, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[object, ...]] = []

    def fit(*arguments: Any) -> fitting.Fitted:
        given.append(arguments)
        return fit_on(*arguments)

    monkeypatch.setattr(cross_validation, "fit_on", fit)
    assert plan_folds(load_features(features).samples, CONFIG)[0] == fold.name
    train_fold(features, tmp_path / "scores", CONFIG, fold.name)
    assert (tmp_path / "scores" / SCORES).is_file()
    ((part, config, _report),) = given
    assert isinstance(part, TrainingSet)
    assert isinstance(part.rows, TrainingRows)
    assert {sample.name for sample in part.samples} == set(fold.training)
    assert config == CONFIG
