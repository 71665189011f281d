"""The flagship on a small synthetic corpus: fitted, served, adapted; what it is told, and what it must not be told."""

from __future__ import annotations

from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser.bundles.bundle import Bundle
from ser.bundles.manifest import SPEAKERS, TFLITE
from ser.config import parse
from ser.dataset import Dataset
from ser.errors import ConfigError
from ser.evaluation.split import Fold, Protocol, folds
from ser.features import About
from ser.features.feature_set import FeatureSet
from ser.features.frontend import FrontEnd
from ser.features.training_set import TrainingSet
from ser.models import MODEL_TYPES
from ser.predictor import Predictor
from ser.progress import silent
from ser.request import CrossValidationConfig, TrainRequest
from ser.steps.cross_validation import load_scores, summarise, train_fold
from ser.steps.enrolling import enrolled
from ser.steps.feature_extraction import extract_features, load_features, load_frontend
from ser.steps.fitting import fit_on
from ser.trainer import Trainer

SMALL = {"components": 4, "dimensions": 8}
CONFIG = parse(CrossValidationConfig, {"model_type": "EnsembleClassifier", "model_config": SMALL})


@pytest.fixture(scope="module")
def folder(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The features that need no weights that others made, with one virtual speaker."""
    body = {"data_path": "d", "remote_url": "u", "model_save_path": "m", "model_type": "EnsembleClassifier"}
    methods: dict[str, Any] = {"Functionals": {}, "SpeechFrames": {}}
    request = parse(TrainRequest, {**body, "dataset_virtual_speakers": 1, "dataset_feature_extract_methods": methods})
    folder = tmp_path_factory.mktemp("ensemble") / "features"
    extract_features(dataset.extract(), folder, request)
    return folder


@pytest.fixture(scope="module")
def frontend(folder: Path) -> FrontEnd:
    return load_frontend(folder)


@pytest.fixture(scope="module")
def corpus(folder: Path) -> FeatureSet:
    return load_features(folder)


@pytest.fixture(scope="module")
def fold(corpus: FeatureSet) -> Fold:
    return folds(corpus.samples, Protocol.LOSO)[0]


@pytest.fixture(scope="module")
def model(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return Trainer("EnsembleClassifier", SMALL).train(folder, tmp_path_factory.mktemp("models"))


def test_it_learns(model: Bundle) -> None:  # how it is calibrated, tests/ser/experts/test_ensemble.py looks at
    assert model.manifest.metrics["uar"] > 0.4  # chance is 1 / 7
    assert model.manifest.history == {}


def test_what_is_served_knows_the_training_speakers_and_any_that_enrols(model: Bundle, dataset: Dataset) -> None:
    assert model.adapts
    assert (model.folder / SPEAKERS).is_file()
    predictor = Predictor(model.folder.parent, model.manifest.model_id)
    clips = [samples for _, samples in zip(range(4), (one for _, one in dataset.load()), strict=False)]
    stranger = predictor.predict_samples(clips[0], about=About(), name="a")
    assert stranger.speaker_clips == 0
    told = predictor.predict_samples(
        clips[0], about=About(), name="a", speaker=reduce(add, map(predictor.listen, clips))
    )
    assert told.speaker_clips == 4
    assert told.probabilities != stranger.probabilities
    known = next(iter(model.adaptation.known)) if model.adaptation else ""
    trained = predictor.predict_samples(clips[0], about=About(), name="a", speaker=predictor.known(known))
    assert trained.speaker_clips > 4


def test_what_does_not_fit_into_memory_makes_the_same_model(
    corpus: FeatureSet, frontend: FrontEnd, fold: Fold, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = fit_on(TrainingSet.of(corpus, fold.training, frontend), CONFIG, silent)
    assert corpus.virtual is not None
    monkeypatch.setattr("ser.features.training_set.COPIED_BYTES", 0)
    monkeypatch.setattr("ser.experts.rows._MEMORY_BYTES", 0)
    read = fit_on(TrainingSet.of(corpus, fold.training, frontend), CONFIG, silent)
    for one, other in zip(copied.model.get_weights(), read.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert copied.adaptation is not None
    assert read.adaptation is not None
    assert copied.adaptation.known.keys() == read.adaptation.known.keys()
    np.testing.assert_array_equal(copied.adaptation.mean, read.adaptation.mean)


def test_another_seed_is_another_model(corpus: FeatureSet, frontend: FrontEnd, fold: Fold) -> None:
    training = TrainingSet.of(corpus, fold.training, frontend)
    test = corpus.select(fold.test).rows
    answers = [
        fit_on(training, CONFIG.model_copy(update={"random_state": seed}), silent).predict(test) for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(answers[0], answers[1])
    assert not np.array_equal(answers[0], answers[2])


def test_without_adaptation_it_reads_features_alone(corpus: FeatureSet, frontend: FrontEnd, fold: Fold) -> None:
    plain = parse(
        CrossValidationConfig, {"model_type": "EnsembleClassifier", "model_config": {**SMALL, "adapts": False}}
    )
    fitted = fit_on(TrainingSet.of(corpus, fold.training, frontend), plain, silent)
    assert fitted.adaptation is None
    assert fitted.model.input_shape == (None, frontend.num_features)


def test_features_that_it_does_not_read_are_refused_by_name(features: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected Functionals and SpeechFrames as well, got MFCC, Speaker"):
        Trainer("EnsembleClassifier", SMALL).train(features, features.parent / "never")


def test_enrollment_clips_are_never_the_judged_one(corpus: FeatureSet, frontend: FrontEnd, fold: Fold) -> None:
    fitted = fit_on(TrainingSet.of(corpus, fold.training, frontend), CONFIG, silent)
    test = corpus.select(fold.test)
    assert all(one is None for one in enrolled(fitted.adaptation, test, frontend, 0, seed=1))
    everything = enrolled(fitted.adaptation, test, frontend, "all", seed=1)
    others = enrolled(fitted.adaptation, test, frontend, len(test.samples), seed=1)
    assert {one.clips for one in everything if one} == {len(test.samples)}
    for number, (whole, without) in enumerate(zip(everything, others, strict=True)):
        assert whole is not None
        assert without is not None
        own = frontend.statistics(test.rows[number : number + 1], clips=1)
        np.testing.assert_allclose((without + own).total, whole.total, rtol=1e-9)
    three = enrolled(fitted.adaptation, test, frontend, 3, seed=1)
    assert {one.clips for one in three if one} == {3}
    assert [one.total[0] for one in three if one] == [
        one.total[0] for one in enrolled(fitted.adaptation, test, frontend, 3, seed=1) if one
    ]


def test_a_protocol_lets_clips_of_the_speaker_or_the_corpus_be_enrolled(folder: Path, tmp_path: Path) -> None:
    body = {"model_type": "EnsembleClassifier", "model_config": SMALL, "protocol": "holdout"}
    answers = {}
    for clips, of in (("0", "speaker"), ("all", "speaker"), ("all", "corpus")):
        config = parse(CrossValidationConfig, {**body, "enrollment_clips": clips, "enrollment_of": of})
        train_fold(folder, tmp_path / clips / of, config, "holdout")
        answers[clips, of] = load_scores(tmp_path / clips / of).probabilities.tobytes()
        summarise([tmp_path / clips / of], tmp_path / "report" / clips / of)
        page = (tmp_path / "report" / clips / of / "report.html").read_text()
        assert (f"all recordings of its {of} that the fold judges are heard without their labels" in page) is (
            clips == "all"
        )
    assert len(set(answers.values())) == 3


@pytest.mark.parametrize("clips", [-1, True, "some", 1.5, 10_001])
def test_a_wrong_number_of_enrollment_clips_is_refused(clips: object) -> None:
    with pytest.raises(ConfigError, match="enrollment_clips: expected a number from 0 to 10000, or 'all'"):
        parse(CrossValidationConfig, {"model_type": "EnsembleClassifier", "enrollment_clips": clips})


def test_eight_bits_answer_nearly_alike_in_less_space(model: Bundle, folder: Path, tmp_path: Path) -> None:
    small = Trainer("EnsembleClassifier", {**SMALL, "weights": "int8"}).train(folder, tmp_path)
    sizes = [(bundle.folder / TFLITE).stat().st_size for bundle in (small, model)]
    assert sizes[0] < 0.7 * sizes[1]
    rows = model.validation.rows
    np.testing.assert_allclose(small.predict(rows), model.predict(rows), atol=0.1)


def test_functionals_alone_are_a_model_too(folder: Path, tmp_path: Path) -> None:
    bundle = Trainer("FunctionalsClassifier").train(folder, tmp_path)
    assert bundle.adapts
    assert bundle.manifest.metrics["uar"] > 0.4  # chance is 1 / 7


def test_its_defaults_are_the_published_recipe() -> None:
    config = MODEL_TYPES.get("EnsembleClassifier").Config()
    assert config.model_dump() == {
        "penalty": 1.0,
        "components": 32,
        "dimensions": 40,
        "weights": "float32",
        "adapts": True,
    }
