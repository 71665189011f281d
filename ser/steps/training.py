"""Training: a feature folder in, a model bundle out."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ser.bundles.bundle import file_digests
from ser.bundles.judgements import Judgements
from ser.bundles.litert import LiteRTModel
from ser.bundles.manifest import FRONTEND, KERAS, SPEAKERS, TFLITE, VALIDATION, Manifest
from ser.code_identity import code_digest
from ser.errors import DamagedError
from ser.evaluation.metrics import ScoredSamples
from ser.evaluation.metrics import evaluate as measure
from ser.evaluation.split import Fold, Protocol, folds
from ser.features.feature_set import FeatureSet
from ser.features.training_set import TrainingSet
from ser.formats import TRAINING_FORMAT
from ser.models import MODEL_TYPES
from ser.progress import Progress, Reporter, silent
from ser.request import TrainingConfig
from ser.speakers.statistics import known_speakers, with_profiles
from ser.steps.feature_extraction import SETTINGS, load_features, load_frontend
from ser.steps.fitting import fit_on
from ser.storage.files import make_folder, read_json, stamp_of
from ser.storage.strict_json import fingerprint
from ser.version import VERSION

_RECORDED = ("numpy", "scipy", "tensorflow", "keras", "ai-edge-litert", "librosa")


def train(
    features: Path, bundle: Path, config: TrainingConfig, *, force: bool = False, report: Reporter = silent
) -> None:
    """Trains a model on a feature folder; does nothing when the bundle is there already.

    A tenth of the files is held out, by `ser.evaluation.split`. The standardiser is fitted on the rest. The network's
    last epoch counts: nothing is chosen by the held-out files. The bundle takes its place only once
    `model.tflite` agrees with `model.keras` on all held-out rows.

    Args:
        features: A feature folder.
        bundle: The bundle's folder to make.
        config: Model type, its config, and the seed.
        force: Train again although the bundle is there.
        report: Told of each epoch.

    Raises:
        CorpusError: If an emotion has a single file, or there is only one emotion.
        TrainingError: If the training diverges, or the exported model does not agree.
        DamagedError: If the feature folder is not whole.
    """
    make_folder(bundle, model_identity(features, config), partial(_write, features, config, report), force=force)


def model_identity(features: Path, config: TrainingConfig) -> dict[str, Any]:
    """All that a model follows from, as JSON.

    Raises:
        DamagedError: If `features` is not a feature folder.
    """
    stamp = stamp_of(features)
    if stamp is None:
        raise DamagedError(f"{features} is not a whole feature folder; extract the features again")
    return {
        "format": TRAINING_FORMAT,
        "code": code_digest(MODEL_TYPES.get(config.model_type)),
        "features": stamp,
        "model_type": config.model_type,
        "model_config": config.hyperparameters.model_dump(),
        "random_state": config.random_state,
    }


def model_id(features: Path, config: TrainingConfig) -> str:
    """The model's name: its type and a digest of all that it follows from."""
    return f"{config.model_type}-{fingerprint(model_identity(features, config))[:12]}"


def score(features: FeatureSet, probabilities: np.ndarray[Any, Any], classes: tuple[str, ...]) -> ScoredSamples:
    """Sets the probabilities of pieces, averaged by recording, beside the ground truth.

    Args:
        features: The recordings.
        probabilities: float32, shape (n_pieces, n_classes).
        classes: The labels, in the order of the columns.
    """
    return ScoredSamples(
        names=tuple(sample.name for sample in features.samples),
        speakers=tuple(sample.speaker for sample in features.samples),
        genders=tuple(sample.gender for sample in features.samples),
        labels=tuple(sample.emotion for sample in features.samples),
        classes=classes,
        probabilities=features.average(probabilities),
    )


def _write(features: Path, config: TrainingConfig, report: Reporter, folder: Path) -> None:
    # Imported here: whoever only reads bundles needs no TensorFlow.
    from ser.networks.epoch_weights import EpochWeights
    from ser.networks.export import check_agreement, export_tflite

    started = time.monotonic()
    epochs = EpochWeights()
    fitted = fit_on(_training_part(features, config), config, report, epochs)
    # The held-out part is read only now that all is fitted.
    everything = load_features(features)
    fold, classes = _split(everything, config), everything.classes
    held_out = everything.select(fold.test)
    history = fitted.history | epochs.judge(fitted.standardiser(held_out.rows), held_out.labels(classes))
    if history:
        count = len(next(iter(history.values())))
        report(Progress("train", count, count, "epochs", {name: values[-1] for name, values in history.items()}))
    told = known_speakers(fitted.adaptation, held_out.speakers)
    held_out_rows = with_profiles(fitted.standardiser(held_out.rows), fitted.adaptation, told)
    fitted.model.save(folder / KERAS)
    export_tflite(fitted.model, folder / TFLITE, int8=fitted.int8)
    served = LiteRTModel((folder / TFLITE).read_bytes())
    check_agreement(fitted.model, served, held_out_rows, int8=fitted.int8)
    load_frontend(features).save(folder / FRONTEND, fitted.standardiser)
    held_out.save(folder / VALIDATION)
    if fitted.adaptation:
        fitted.adaptation.save(folder / SPEAKERS)

    probabilities = Judgements.of(served(held_out_rows), len(classes)).probabilities
    evaluation = measure(score(held_out, probabilities, classes))
    settings = read_json(features / SETTINGS)
    Manifest(
        model_id=model_id(features, config),
        model_type=config.model_type,
        hyperparameters=config.hyperparameters.model_dump(),
        random_state=config.random_state,
        classes=classes,
        features=settings["config"],
        frontend=settings["frontend"],
        corpus=settings["corpus"],
        source=settings["source"],
        corpus_sha256=settings["corpus_sha256"],
        training_samples=len(fold.training),
        validation_samples=fold.test,
        metrics={
            "accuracy": evaluation.accuracy,
            "uar": evaluation.uar,
            "macro_f1": evaluation.macro_f1,
            "chance": 1 / len(classes),
        },
        history=history,
        seconds=round(time.monotonic() - started, 3),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        versions=_versions(),
        files=dict(file_digests(folder)),
    ).save(folder)


def _training_part(features: Path, config: TrainingConfig) -> TrainingSet:
    """What is learnt from; nothing else that was read for it is left when this returns."""
    everything = load_features(features)
    return TrainingSet.of(everything, _split(everything, config).training, load_frontend(features))


def _split(everything: FeatureSet, config: TrainingConfig) -> Fold:
    (fold,) = folds(everything.samples, Protocol.HOLDOUT, random_state=config.random_state)
    return fold


def _versions() -> dict[str, str]:
    installed = {"ser": VERSION, "python": platform.python_version()}
    for name in _RECORDED:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed
