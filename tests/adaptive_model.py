"""A small model that adapts to speakers, made from one that does not.

Its network is untrained: it answers otherwise for another profile, and that is all that the tests need.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import keras

from ser.bundles.bundle import Bundle, file_digests
from ser.bundles.manifest import KERAS, SPEAKERS, TFLITE
from ser.networks.export import export_tflite
from ser.speakers.statistics import SpeakerAdaptation
from ser.steps.feature_extraction import load_features

MODEL_ID = "AdaptiveClassifier-0123456789ab"


def adaptive_bundle(bundle: Bundle, features: Path, models: Path) -> Bundle:
    """Writes the bundle of a model that adapts.

    Args:
        bundle: A model; all but its network is kept.
        features: The feature folder that it was trained on.
        models: Folder that the new bundle's folder is written into.
    """
    folder = Path(shutil.copytree(bundle.folder, models / MODEL_ID))
    learnt = load_features(features)
    learnt = learnt.select({sample.name for sample in learnt.samples} - set(bundle.manifest.validation_samples))
    known = {}
    for speaker in {sample.speaker for sample in learnt.samples}:
        own = learnt.select([sample.name for sample in learnt.samples if sample.speaker == speaker])
        known[speaker] = bundle.frontend.statistics(own.rows, clips=len(own.samples))
    adaptation = SpeakerAdaptation.fit(known.items())
    adaptation.save(folder / SPEAKERS)
    network = _network(learnt.rows.shape[1], adaptation.num_columns, len(bundle.manifest.classes))
    network.save(folder / KERAS)
    export_tflite(network, folder / TFLITE)
    bundle.manifest.model_copy(update={"model_id": MODEL_ID, "files": dict(file_digests(folder))}).save(folder)
    return Bundle(folder)


def _network(num_features: int, num_columns: int, num_classes: int) -> keras.Model:
    keras.utils.set_random_seed(1)
    row = keras.layers.Input((num_features + num_columns,))
    features, profile = row[:, :num_features], row[:, num_features:]
    told = keras.layers.Dense(20, activation="tanh")(profile * 0.1)
    heard = keras.layers.Dense(20, activation="tanh")(features)
    both = keras.layers.Concatenate()([told, heard])
    return keras.Model(row, keras.layers.Dense(num_classes, activation="softmax")(both))
