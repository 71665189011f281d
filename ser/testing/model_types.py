"""What every model type must do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt

from ser.bundles.bundle import Bundle
from ser.bundles.judgements import Judgements
from ser.bundles.manifest import KERAS
from ser.config import parse
from ser.dataset import Dataset
from ser.errors import ConfigError
from ser.evaluation.split import Fold, Protocol, folds
from ser.features.feature_set import FeatureSet
from ser.features.frontend import FrontEnd
from ser.features.training_set import TrainingSet
from ser.models import MODEL_TYPES, Fitted
from ser.networks.training_loop import Watch
from ser.progress import silent
from ser.request import TrainRequest
from ser.speakers.statistics import known_speakers, with_profiles
from ser.steps.feature_extraction import load_features, load_frontend
from ser.steps.fitting import fit_on
from ser.testing.serving import computed_while_serving
from ser.trainer import Trainer

CORPUS = "embedded:?clips=42&seed=3"
"""A small synthetic corpus."""


@dataclass(frozen=True)
class Trial:
    """A model type on the features of a small corpus: those that it reads by default, unless others are given.

    Args:
        model_type: Its registered name.
        model_config: Its config: one that is fitted quickly.
        folder: An empty folder for what is made.
        features: Other fields of a train request, as `dataset_feature_extract_methods`.
    """

    model_type: str
    model_config: Mapping[str, Any]
    folder: Path
    features: Mapping[str, Any] | None = None

    @cached_property
    def request(self) -> TrainRequest:
        """The training, as a request."""
        places = {"data_path": str(self.folder / "data"), "model_save_path": str(self.folder / "models")}
        kind = {"model_type": self.model_type, "model_config": self.model_config, "random_state": 1}
        return parse(TrainRequest, {**places, **kind, "remote_url": CORPUS, **(self.features or {})})

    @cached_property
    def feature_folder(self) -> Path:
        """The features, extracted when they are first wanted."""
        return Dataset(self.request.data_path, CORPUS).features_of(self.request)

    @cached_property
    def corpus(self) -> FeatureSet:
        """The features of all recordings."""
        return load_features(self.feature_folder)

    @cached_property
    def frontend(self) -> FrontEnd:
        """What made them."""
        return load_frontend(self.feature_folder)

    @cached_property
    def fold(self) -> Fold:
        """The recordings that are learnt from, and those that are held out."""
        (fold,) = folds(self.corpus.samples, Protocol.HOLDOUT, random_state=1)
        return fold

    @cached_property
    def fitted(self) -> Fitted:
        """The model, fitted once."""
        return self.fit()

    @cached_property
    def bundle(self) -> Bundle:
        """The model, trained and saved."""
        trainer = Trainer(self.model_type, self.model_config, random_state=1)
        return trainer.train(self.feature_folder, self.request.model_save_path)

    def fit(self, corpus: FeatureSet | None = None, watch: Watch | None = None) -> Fitted:
        """Fits the model on the training part of some recordings, by default all."""
        training = TrainingSet.of(corpus or self.corpus, self.fold.training, self.frontend)
        return fit_on(training, self.request, silent, watch)


def answers_are_probabilities(trial: Trial) -> None:
    """float32, a row a piece, from 0 to 1, which sum to 1, and not the same of all recordings."""
    rows = np.array(trial.corpus.rows)
    found = trial.fitted.predict(rows)
    assert found.dtype == np.float32, f"expected float32, got {found.dtype}"
    expected = (len(rows), len(trial.corpus.classes))
    assert found.shape == expected, f"expected shape {expected}, got {found.shape}"
    assert np.isfinite(found).all(), "expected finite probabilities"
    assert (found >= 0).all(), "expected probabilities from 0 to 1"
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-4)
    assert np.ptp(found, axis=0).max() > 1e-3, "expected answers that depend on the recording"


def the_same_seed_gives_the_same_model(trial: Trial) -> None:
    """To the last bit; and whoever watches the epochs changes nothing."""
    seen: list[object] = []
    _assert_same(trial.fit(watch=seen.append), trial.fitted, "fitted twice with one seed")


def held_out_recordings_change_nothing(trial: Trial) -> None:
    """Features, labels and speakers of recordings that are held out may be anything: the model is the same."""
    rows = np.array(trial.corpus.rows)
    virtual = None if trial.corpus.virtual is None else np.array(trial.corpus.virtual)
    numbers = trial.corpus.numbers(set(trial.fold.test))
    for poisoned in (rows, virtual):
        if poisoned is not None:
            poisoned[numbers] = np.nan
    samples = tuple(
        replace(sample, emotion="poison", speaker="poison") if sample.name in trial.fold.test else sample
        for sample in trial.corpus.samples
    )
    _assert_same(trial.fit(FeatureSet(rows, samples, virtual)), trial.fitted, "fitted with other held-out recordings")


def rows_on_the_disk_are_as_good_as_those_in_memory(trial: Trial) -> None:
    """Where the training part is too large to be copied, the model is the same."""
    copied = trial.fitted
    with mock.patch("ser.features.training_set.COPIED_BYTES", 0):
        _assert_same(trial.fit(), copied, "fitted on rows that stay in their file")


def two_labels_are_enough(trial: Trial) -> None:
    """A corpus with two labels can be learnt."""
    chosen = trial.corpus.classes[:2]
    names = {sample.name for sample in trial.corpus.samples if sample.emotion in chosen}
    corpus = trial.corpus.select(tuple(name for name in (s.name for s in trial.corpus.samples) if name in names))
    training = TrainingSet.of(corpus, [name for name in trial.fold.training if name in names], trial.frontend)
    found = fit_on(training, trial.request, silent).predict(np.array(corpus.rows))
    assert found.shape[1] == len(chosen), f"expected {len(chosen)} probabilities a row, got {found.shape[1]}"
    assert np.isfinite(found).all(), "expected finite probabilities"


def the_kept_network_answers_as_the_served_one(trial: Trial) -> None:
    """`model.keras`, which can be trained on, and `model.tflite`, which is served, agree on the held-out recordings."""
    import keras

    bundle = trial.bundle
    told = known_speakers(bundle.adaptation, bundle.validation.speakers)
    rows = with_profiles(bundle.standardiser(bundle.validation.rows), bundle.adaptation, told)
    answer = np.asarray(keras.models.load_model(bundle.folder / KERAS)(rows))
    kept = Judgements.of(answer, len(bundle.manifest.classes))
    served = bundle.judge(bundle.validation.rows, told)
    np.testing.assert_allclose(kept.probabilities, served.probabilities, atol=1e-4)
    assert (kept.familiarity is None) == (served.familiarity is None), "expected both to tell familiarity, or neither"
    if kept.familiarity is not None and served.familiarity is not None:
        np.testing.assert_allclose(kept.familiarity, served.familiarity, atol=1e-4)


def a_saved_model_answers_the_same_where_models_are_served(trial: Trial) -> None:
    """Of the held-out recordings and of a new one, without TensorFlow, Keras and librosa."""
    bundle, clip = trial.bundle, trial.folder / "clip.npy"
    time = np.arange(20_000) / 16_000
    np.save(clip, (np.sin(2 * np.pi * 180 * time) * np.hanning(len(time))).astype(np.float32))
    code = (
        "import numpy\n"
        "from ser.predictor import Predictor\n"
        f"predictor = Predictor({str(bundle.folder.parent)!r}, {bundle.folder.name!r})\n"
        f"clip = predictor.predict(numpy.load({str(clip)!r}), sample_rate_hz=16_000)\n"
        "held_out = [predictor.predict_sample(sample.name) for sample in predictor.bundle.validation.samples]\n"
        "answer = [list(one.probabilities.values()) for one in (clip, *held_out)]\n"
    )
    served = computed_while_serving(code, knows=MODEL_TYPES.get(trial.model_type))
    held_out = bundle.validation.average(bundle.predict_set(bundle.validation))
    np.testing.assert_allclose(served[1:], held_out, atol=1e-6)
    np.testing.assert_allclose(served.sum(axis=1), 1, atol=1e-4)


def configs_are_checked_without_tensorflow(trial: Trial) -> None:
    """The config is allowed and comes back from its JSON; an unknown key is named; none of it needs TensorFlow."""
    kind = MODEL_TYPES.get(trial.model_type)
    kept = parse(kind.Config, trial.model_config)
    assert parse(kind.Config, kept.model_dump(mode="json")) == kept, "expected the config back from its JSON"
    try:
        parse(kind.Config, {**trial.model_config, "no_such_setting": 1})
    except ConfigError as error:
        assert "no_such_setting" in str(error), f"expected the unknown key's name in {error}"
    else:
        raise AssertionError("expected an unknown key to be refused")
    code = (
        "from ser.config import parse\n"
        "from ser.models import MODEL_TYPES\n"
        f"parse(MODEL_TYPES.get({trial.model_type!r}).Config, {dict(trial.model_config)!r})\n"
        "answer = [1]\n"
    )
    computed_while_serving(code, knows=kind)


MODEL_TYPE_CHECKS: tuple[Callable[[Trial], None], ...] = (
    answers_are_probabilities,
    the_same_seed_gives_the_same_model,
    held_out_recordings_change_nothing,
    rows_on_the_disk_are_as_good_as_those_in_memory,
    two_labels_are_enough,
    the_kept_network_answers_as_the_served_one,
    a_saved_model_answers_the_same_where_models_are_served,
    configs_are_checked_without_tensorflow,
)
"""All of them."""


def _assert_same(one: Fitted, other: Fitted, what: str) -> None:
    for weights, others in zip(_numbers(one), _numbers(other), strict=True):
        assert weights.tobytes() == others.tobytes(), f"{what}: expected the same model, bit for bit"


def _numbers(fitted: Fitted) -> list[npt.NDArray[Any]]:
    scaling = [fitted.standardiser.mean, fitted.standardiser.inverse_deviation]
    return [*(np.asarray(weights) for weights in fitted.model.get_weights()), *scaling]
