"""Every setting of every model type: a value that is not the default, and what can be seen of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest

from ser.config import parse
from ser.features.extractors.functionals import Functionals, FunctionalsConfig
from ser.features.extractors.speech_encoder import SpeechEncoder, SpeechEncoderConfig
from ser.features.extractors.speech_frames import SpeechFrames, SpeechFramesConfig
from ser.features.feature_set import FeatureSet, Sample
from ser.features.frontend import FrontEnd
from ser.features.training_set import TrainingSet
from ser.models import MODEL_TYPES
from ser.models.base import NetworkType
from ser.models.temporal_network_classifier import _build, _scaling_of_channels
from ser.networks.fitted import Fitted
from ser.progress import silent

COUNT = 64
SMALL: Mapping[str, Mapping[str, object]] = {
    "EncoderClassifier": {"adapts": False},
    "EnsembleClassifier": {"components": 2, "dimensions": 4, "adapts": False},
    "FunctionalsClassifier": {"adapts": False},
    "KerasClassifier": {"epochs": 1, "batch_size": COUNT},
    "KerasDropoutClassifier": {"epochs": 1, "batch_size": COUNT},
}
"""What each model type is fitted with but for the setting that is looked at."""


class Narrow(Functionals):
    """As functionals, but few of them."""

    def shape(self, piece_samples: int) -> tuple[int, ...]:  # noqa: ARG002 - as in what it stands for
        return (6,)


class NarrowEncoder(SpeechEncoder):
    """As what an encoder hears, but little of it."""

    def shape(self, piece_samples: int) -> tuple[int, ...]:  # noqa: ARG002 - as in what it stands for
        return (7,)


@cache
def training() -> TrainingSet:
    made = {
        "Functionals": Narrow.create(FunctionalsConfig(), []),
        "SpeechFrames": SpeechFrames.create(SpeechFramesConfig(), []),
        "SpeechEncoder": NarrowEncoder.create(SpeechEncoderConfig(), []),
    }
    front = FrontEnd(4_000, normalize=True, extractors=made)
    chance = np.random.default_rng(3)
    rows = chance.normal(size=(COUNT, front.num_features)).astype(np.float32)
    frames = front.blocks[1]
    columns = frames.shape[1]
    rows[:, frames.start + columns - 1 : frames.stop : columns] = 1  # all is speech
    samples = tuple(Sample(f"{n}", f"{n % 6}", "", "", "abc"[n % 3], 1.0, 1) for n in range(COUNT))
    return TrainingSet.of(FeatureSet(rows, samples), [sample.name for sample in samples], front)


def fitted(kind: str, **changes: object) -> Fitted:
    model_type = MODEL_TYPES.get(kind)()
    config = parse(model_type.Config, {**SMALL[kind], **changes})
    return model_type.fit(training(), config, seed=1, report=silent)


def weights(model: Fitted) -> np.ndarray:
    return np.concatenate([np.asarray(weight).ravel() for weight in model.model.trainable_variables])


@cache
def unmoved(kind: str) -> np.ndarray:
    return weights(fitted(kind, lr=1e-9))


def moved(kind: str, **changes: object) -> float:
    """How far a weight is at most from where one step of next to no length leaves it: of Adam, the rate a step."""
    return float(np.abs(weights(fitted(kind, **changes)) - unmoved(kind)).max())


def lr(kind: str) -> None:
    assert moved(kind, lr=0.05) == pytest.approx(0.05, rel=0.05)


def epochs(kind: str) -> None:
    assert len(fitted(kind, epochs=3).history["loss"]) == 3


def batch_size(kind: str) -> None:
    # Eight steps where there was one: further than one step can go.
    assert moved(kind, lr=0.01, batch_size=COUNT // 8) > 0.02


def built(kind: str, **changes: object) -> Any:
    """The network, untrained: to fit the temporal one takes too long here."""
    model_type = MODEL_TYPES.get(kind)()
    config = parse(model_type.Config, changes)
    if isinstance(model_type, NetworkType):
        return model_type.build(6, 3, config)
    front = training().frontend
    scaling = _scaling_of_channels(training(), front.blocks[1])
    return _build(front.num_features, 3, front.blocks[1], scaling, config)


def dropout(kind: str) -> None:
    rates = {layer.rate for layer in built(kind, dropout=0.6).layers if type(layer).__name__ == "Dropout"}
    assert rates == {0.6}


def units(kind: str) -> None:
    assert built(kind, units=9).get_layer(index=-1).kernel.shape[0] == 3 * 9


def penalty(kind: str) -> None:
    surest = [fitted(kind, penalty=one).model.get_weights() for one in (0.01, 100.0)]
    kernels = [
        np.abs(np.concatenate([w.ravel() for w in found if w.ndim == 2 and w.shape[1] == 3])) for found in surest
    ]
    assert kernels[0].mean() > 5 * kernels[1].mean()


def int8(kind: str) -> None:
    assert [fitted(kind, weights=one).int8 for one in ("float32", "int8")] == [False, True]


def adapts(kind: str) -> None:
    wide, narrow = fitted(kind, adapts=True), fitted(kind, adapts=False)
    assert narrow.adaptation is None
    assert wide.adaptation is not None
    width = training().rows.shape[1]
    assert narrow.model.input_shape == (None, width)
    assert wide.model.input_shape == (None, width + wide.adaptation.num_columns)


def _mixtures(kind: str, **changes: object) -> set[tuple[int, ...]]:
    layers = fitted(kind, **changes).model.layers
    return {tuple(layer.constants[3].shape) for layer in layers if type(layer).__name__ == "FisherVector"}


def components(kind: str) -> None:
    assert _mixtures(kind, components=3) == {(3, 4)}


def dimensions(kind: str) -> None:
    assert _mixtures(kind, dimensions=5) == {(2, 5)}


STEPS: Mapping[str, Callable[[str], None]] = {"lr": lr, "epochs": epochs, "batch_size": batch_size}
SOLVED: Mapping[str, Callable[[str], None]] = {"penalty": penalty, "weights": int8, "adapts": adapts}
TABLE: Mapping[str, Mapping[str, Callable[[str], None]]] = {
    "EncoderClassifier": SOLVED,
    "EnsembleClassifier": {**SOLVED, "components": components, "dimensions": dimensions},
    "FunctionalsClassifier": SOLVED,
    "KerasClassifier": STEPS,
    "KerasDropoutClassifier": {**STEPS, "dropout": dropout},
    "TemporalNetworkClassifier": {"units": units, "dropout": dropout},
}


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind, fields in TABLE.items() for field in fields])
def test_a_setting_does_what_it_says(kind: str, field: str) -> None:
    TABLE[kind][field](kind)


def test_the_ensemble_has_an_expert_of_what_an_encoder_hears_that_bears_three_times_the_penalty() -> None:
    front = training().frontend
    encoder = next(block for block in front.blocks if block.name == "SpeechEncoder")
    rows = training().rows[np.arange(COUNT)]
    model = fitted("EnsembleClassifier", penalty=2.0)
    moved = rows.copy()
    moved[:, encoder.start : encoder.stop] += 1
    assert np.abs(model.predict(moved) - model.predict(rows)).max() > 0.01
    heard = model.model.get_weights()
    alone = fitted("EncoderClassifier", penalty=6.0).model.get_weights()
    kernel = next(one for one in alone if one.shape == (7, 3))
    assert any(one.shape == (7, 3) and np.allclose(one, kernel, rtol=1e-4) for one in heard)


def test_every_setting_of_every_model_type_is_in_the_table() -> None:
    found = {
        kind: set(MODEL_TYPES.get(kind).Config.model_fields)
        for kind in MODEL_TYPES.names()
        if MODEL_TYPES.get(kind).__module__.startswith("ser.")
    }
    # What the loop follows that trains every network is looked at on the small ones.
    found["TemporalNetworkClassifier"] -= set(STEPS)
    assert found == {kind: set(fields) for kind, fields in TABLE.items()}
