"""Extractors and model types with one fault each."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pydantic

from ser.config import Config
from ser.features import EXTRACTORS, About, FeatureExtractor
from ser.models import MODEL_TYPES, TrainingParameters
from ser.models.keras_classifier import KerasClassifier
from ser.speakers.statistics import Vector

if TYPE_CHECKING:
    import keras

    from ser.models import Fitted

Pieces = npt.NDArray[np.float32]


class Level(FeatureExtractor[Config]):
    """The level of a piece: nothing is wrong with this one."""

    Config = Config

    @classmethod
    def create(cls, config: Config, corpus: Sequence[About]) -> Self:  # noqa: ARG003
        return cls(config, {})

    def shape(self, piece_samples: int) -> tuple[int, ...]:  # noqa: ARG002
        return (1,)

    def extract(self, pieces: Pieces, about: Sequence[About]) -> Pieces:  # noqa: ARG002
        return np.abs(pieces).mean(axis=1, keepdims=True)


class Doubles(Level):
    def extract(self, pieces: Pieces, about: Sequence[About]) -> Any:
        return super().extract(pieces, about).astype(np.float64)


class TooWide(Level):
    def extract(self, pieces: Pieces, about: Sequence[About]) -> Pieces:
        return np.repeat(super().extract(pieces, about), 2, axis=1)


class NoSilence(Level):
    def extract(self, pieces: Pieces, about: Sequence[About]) -> Pieces:
        with np.errstate(divide="ignore"):
            return np.log(super().extract(pieces, about))


class NotShort(Level):
    def extract(self, pieces: Pieces, about: Sequence[About]) -> Pieces:
        return super().extract(pieces[:, 400:], about) if pieces.shape[1] > 400 else np.zeros((0, 1), np.float32)


class Chance(Level):
    def extract(self, pieces: Pieces, about: Sequence[About]) -> Pieces:
        return super().extract(pieces, about) + np.random.default_rng().random(dtype=np.float32)


class OfTheBatch(Level):
    def extract(self, pieces: Pieces, about: Sequence[About]) -> Pieces:
        return super().extract(pieces, about) - np.abs(pieces).mean()


class Overwrites(Level):
    def extract(self, pieces: Pieces, about: Sequence[About]) -> Pieces:
        pieces *= 1
        return super().extract(pieces, about)


class KnowsAll(Level):
    def extract(self, pieces: Pieces, about: Sequence[About]) -> Pieces:
        if any(who.speaker is None for who in about):
            raise KeyError("speaker")
        return super().extract(pieces, about)


class KnowsNobody(Level):
    def unknown(self, about: About) -> list[str]:  # noqa: ARG002
        return ["speaker"]


class Librosa(Level):
    def extract(self, pieces: Pieces, about: Sequence[About]) -> Pieces:
        import librosa

        return super().extract(pieces, about) + np.float32(librosa.hz_to_mel(0))


class Forgets(Level):
    """What it has computed does not travel with it."""

    level = np.float32(0)

    @classmethod
    def create(cls, config: Config, corpus: Sequence[About]) -> Self:
        made = super().create(config, corpus)
        made.level = np.float32(len(corpus))
        return made

    def extract(self, pieces: Pieces, about: Sequence[About]) -> Pieces:
        return super().extract(pieces, about) + self.level


class NarrowStatistics(Level):
    def statistics(self, features: Pieces) -> tuple[Vector, Vector, Vector]:
        count, total, squares = super().statistics(features)
        return count[:0], total, squares


class AveragedStatistics(Level):
    def statistics(self, features: Pieces) -> tuple[Vector, Vector, Vector]:
        count, total, squares = super().statistics(features)
        return count, total / len(features), squares


class LenientConfig(Config):
    model_config = pydantic.ConfigDict(extra="ignore")


class Lenient(Level):
    Config = LenientConfig


class WithoutSoftmax(KerasClassifier):
    def build(self, num_features: int, num_classes: int, config: Any) -> keras.Model:  # noqa: ARG002
        from keras import Sequential, layers

        return Sequential([layers.Input((num_features,)), layers.Dense(num_classes, activation="sigmoid")])


class OneAnswer(KerasClassifier):
    def build(self, num_features: int, num_classes: int, config: Any) -> keras.Model:  # noqa: ARG002
        from keras import Sequential, layers

        nothing = layers.Dense(num_classes, activation="softmax", kernel_initializer="zeros", trainable=False)
        return Sequential([layers.Input((num_features,)), nothing])


class Unseeded(KerasClassifier):
    def fit(self, *arguments: Any, **named: Any) -> Fitted:
        return super().fit(*arguments, **{**named, "seed": int(np.random.default_rng().integers(1 << 30))})


class Watched(KerasClassifier):
    """Learns otherwise where somebody looks on."""

    def fit(self, *arguments: Any, **named: Any) -> Fitted:
        return super().fit(*arguments, **{**named, "seed": named["seed"] + (named.get("watch") is not None)})


class SevenLabels(KerasClassifier):
    def build(self, num_features: int, num_classes: int, config: Any) -> keras.Model:  # noqa: ARG002
        return super().build(num_features, 7, config)


class InMemory(KerasClassifier):
    """Learns otherwise of rows that stay in their file."""

    def fit(self, training: Any, *arguments: Any, **named: Any) -> Fitted:
        copied = isinstance(training.rows._rows, np.ndarray)
        return super().fit(training, *arguments, **{**named, "seed": named["seed"] + copied})


class WantsTensorFlowConfig(TrainingParameters):
    @pydantic.field_validator("epochs")
    @classmethod
    def _known(cls, value: int) -> int:
        import keras

        return min(value, keras.backend.epsilon() < 1 and value)


class WantsTensorFlow(KerasClassifier):
    Config = WantsTensorFlowConfig


class LenientParameters(TrainingParameters):
    model_config = pydantic.ConfigDict(extra="ignore")


class LenientType(KerasClassifier):
    Config = LenientParameters


FAULTY_EXTRACTORS = {
    "features_are_float32_of_the_shape_that_is_promised": (Doubles, TooWide, NoSilence, NotShort),
    "features_of_a_piece_are_its_own": (Chance, OfTheBatch, Overwrites),
    "what_is_not_known_of_a_speaker_is_no_error": (KnowsAll, KnowsNobody),
    "what_is_saved_is_the_same_where_models_are_served": (Librosa, Forgets),
    "statistics_are_of_one_length": (NarrowStatistics, AveragedStatistics),
    "a_config_has_defaults_and_refuses_what_it_does_not_know": (Lenient,),
}
FAULTY_MODEL_TYPES = {
    "answers_are_probabilities": (WithoutSoftmax, OneAnswer),
    "the_same_seed_gives_the_same_model": (Unseeded, Watched),
    "rows_on_the_disk_are_as_good_as_those_in_memory": (InMemory,),
    "two_labels_are_enough": (SevenLabels,),
    "configs_are_checked_without_tensorflow": (WantsTensorFlow, LenientType),
}
"""Name of a check to the classes that it has to notice."""

if "pytest" not in sys.modules:  # but in the process of a check, which looks them up
    for kinds in FAULTY_EXTRACTORS.values():
        for kind in kinds:
            EXTRACTORS.register()(kind)
    EXTRACTORS.register()(Level)
    for types in FAULTY_MODEL_TYPES.values():
        for of_type in types:
            MODEL_TYPES.register()(of_type)
