"""What a fitted model says of many rows, whose speakers differ."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np

from ser.bundles.litert import LiteRTModel
from ser.config import parse
from ser.features.feature_set import FeatureSet, Sample
from ser.features.standardiser import Standardiser
from ser.models import MODEL_TYPES
from ser.networks.export import export_tflite
from ser.networks.fitted import Fitted
from ser.networks.training_loop import fit
from ser.progress import silent
from ser.speakers.statistics import SpeakerAdaptation, SpeakerStatistics

RNG = np.random.default_rng(9)


CLIPS = {"a": 1, "b": 2, "c": 3, "nobody": 0}


def of_clips(clips: int) -> SpeakerStatistics:
    one = np.ones(1)
    return SpeakerStatistics(clips, one * clips, one * clips, one * clips)


ADAPTATION = SpeakerAdaptation.fit([("a", of_clips(1)), ("b", of_clips(2)), ("c", of_clips(3))])


def echo(features: int) -> Fitted:
    """A model that says what it is told: the first feature, standardised, and the clips of the profile."""
    row = keras.Input((features + ADAPTATION.num_columns,))
    said = keras.layers.Concatenate()([row[:, :1], row[:, -1:]])
    standardiser = Standardiser(np.full(features, 10, np.float32), np.full(features, 0.5, np.float32))
    return Fitted(keras.Model(row, said), standardiser, {}, ADAPTATION)


def test_every_row_is_judged_with_its_own_speaker_beyond_a_block_too() -> None:
    count = 2_500
    rows = np.arange(count, dtype=np.float32)[:, None]
    names = [("a", "b", "c", "nobody")[number] for number in RNG.integers(4, size=count)]
    expected = np.stack([(rows[:, 0] - 10) / 2, [CLIPS[name] for name in names]], axis=1)
    told = [ADAPTATION.known.get(name) for name in names]
    np.testing.assert_array_equal(echo(1).predict(rows, told), expected)
    samples = tuple(Sample(f"{n}", name, "", "", "joy", 1.0, 1) for n, name in enumerate(names))
    np.testing.assert_array_equal(echo(1).predict_set(FeatureSet(rows, samples)), expected)


def test_one_speaker_is_of_all_rows_and_without_one_all_are_strangers() -> None:
    rows = np.zeros((1_100, 1), dtype=np.float32)
    assert (echo(1).predict(rows, (of_clips(3),))[:, 1] == 3).all()
    assert (echo(1).predict(rows)[:, 1] == 0).all()


def test_nothing_is_dropped_while_judging() -> None:
    model_type = MODEL_TYPES.get("KerasDropoutClassifier")()
    config = parse(model_type.Config, {"epochs": 2, "dropout": 0.9})
    rows, labels = RNG.normal(size=(60, 5)).astype(np.float32), np.arange(60) % 3
    model, _ = fit(lambda: model_type.build(5, 3, config), rows, labels, config=config, seed=0, report=silent)
    hidden, bias, out, offset = (np.asarray(weight) for weight in model.get_weights())
    scores = np.maximum(rows @ hidden + bias, 0) @ out + offset
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(Fitted(model, Standardiser.identity(5), {}).predict(rows), expected, atol=1e-5)


def test_threads_at_one_served_model_get_the_answers_to_their_own_rows(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    network = keras.Sequential([keras.Input((8,)), keras.layers.Dense(64, "tanh"), keras.layers.Dense(3, "softmax")])
    export_tflite(network, tmp_path / "model.tflite")
    served = LiteRTModel((tmp_path / "model.tflite").read_bytes())
    batches = [RNG.normal(size=(1 + number % 5, 8)).astype(np.float32) for number in range(200)]
    expected = [np.asarray(network(batch)) for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(served, batches * 4, timeout=60))
    for one, other in zip(found, expected * 4, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
