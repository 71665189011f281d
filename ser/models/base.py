"""What a model type is, and the registry of them."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ser.config import Config, Real, Whole
from ser.features.feature_set import FeatureSet
from ser.features.frontend import Standardiser
from ser.features.training_set import StandardisedRows, TrainingSet
from ser.progress import Reporter
from ser.registry import Registry
from ser.speakers.statistics import SpeakerAdaptation, SpeakerStatistics, known_speakers, with_profiles

if TYPE_CHECKING:
    import keras

    from ser.models.training_loop import Watch

_BLOCK_ROWS = 1_024


@dataclass(frozen=True)
class Fitted:
    """What was fitted, all of it on the training part."""

    model: keras.Model
    """From rows, standardised, with the profiles of their speakers if the model adapts, to probabilities."""
    standardiser: Standardiser
    history: dict[str, list[float]]
    """A value an epoch of loss and accuracy; empty if there are no epochs."""
    adaptation: SpeakerAdaptation | None = None
    """Of a model that adapts to speakers."""
    int8: bool = False
    """Whether it is served with weights of eight bits."""

    def predict(
        self, rows: npt.NDArray[np.float32], speakers: Sequence[SpeakerStatistics | None] = (None,)
    ) -> npt.NDArray[np.float32]:
        """Probabilities of rows.

        Args:
            rows: float32, shape (n, n_features), not standardised.
            speakers: What is known of who speaks each row, n entries or one for all.

        Returns:
            float32, shape (n, n_classes).
        """
        # Not by Keras's `predict`, whose input pipeline costs more than the arithmetic.
        parts = []
        for start in range(0, len(rows), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            told = speakers if len(speakers) == 1 else speakers[block]
            read = with_profiles(self.standardiser(rows[block]), self.adaptation, told)
            parts.append(np.asarray(self.model(read, training=False)))
        return np.concatenate(parts)

    def predict_set(self, features: FeatureSet) -> npt.NDArray[np.float32]:
        """Probabilities of the pieces of recordings; a speaker that the model was trained on it knows.

        Returns:
            float32, shape (n_pieces, n_classes).
        """
        return self.predict(features.rows, known_speakers(self.adaptation, features.speakers))


ParametersT = TypeVar("ParametersT", bound=Config)


class ModelType(abc.ABC, Generic[ParametersT]):
    """A kind of classifier over feature vectors, which ends up as one Keras network."""

    Config: ClassVar[type[Config]]
    """What can be set about it; its defaults are the best that is known."""
    front_end: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Fields of a train request that have another default with this model type, as the features that it reads."""

    @abc.abstractmethod
    def fit(
        self,
        training: TrainingSet,
        config: ParametersT,
        *,
        seed: int,
        report: Reporter,
        watch: Watch | None = None,
    ) -> Fitted:
        """Fits everything that is fitted.

        Args:
            training: All that there is to learn from.
            config: The validated config.
            seed: Of everything random; the same seed, data and machine give the same weights, bit for bit.
            report: Told of the progress.
            watch: Is shown the network after each epoch, and says nothing: what it is judged on is read later. Whoever
                has no epochs takes no notice.

        Raises:
            ConfigError: If the features are not those that the model type reads.
            TrainingError: If the training diverges.
        """


class TrainingParameters(Config):
    """What every network that is trained lets one set; Adam minimises the cross-entropy."""

    lr: Annotated[Real, Field(gt=0, le=10)] = 0.001
    """Learning rate."""
    epochs: Annotated[Whole, Field(ge=1, le=100_000)] = 20
    """Passes over the training pieces."""
    batch_size: Annotated[Whole, Field(ge=1, le=1_000_000)] = 32
    """Pieces a step."""


NetworkParametersT = TypeVar("NetworkParametersT", bound=TrainingParameters)


class NetworkType(ModelType[NetworkParametersT]):
    """A kind of network over flat feature vectors, trained by gradient descent."""

    @abc.abstractmethod
    def build(self, num_features: int, num_classes: int, config: NetworkParametersT) -> keras.Model:
        """An untrained network.

        Args:
            num_features: Length of a piece's standardised feature vector.
            num_classes: Number of labels.
            config: The validated config.

        Returns:
            A Keras model from float32 (batch, num_features) to probabilities, float32 (batch, num_classes).
        """

    def fit(
        self,
        training: TrainingSet,
        config: NetworkParametersT,
        *,
        seed: int,
        report: Reporter,
        watch: Watch | None = None,
    ) -> Fitted:
        """See `ModelType.fit`."""
        from ser.models.training_loop import fit

        standardiser = Standardiser.fit(training.rows)
        num_features, num_classes = training.rows.shape[1], len(training.classes)
        model, history = fit(
            lambda: self.build(num_features, num_classes, config),
            StandardisedRows(training.rows, standardiser),
            training.labels,
            config=config,
            seed=seed,
            report=report,
            watch=watch,
        )
        return Fitted(model, standardiser, history)


MODEL_TYPES: Registry[type[ModelType[Any]]] = Registry("model type", "ser.models")
