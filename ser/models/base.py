"""What a model type is, and the registry of them."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import Field

from ser.config import Config, Real, Whole
from ser.registry import Registry

if TYPE_CHECKING:
    import keras


class TrainingParameters(Config):
    """What every model type lets one set; Adam minimises the cross-entropy."""

    lr: Annotated[Real, Field(gt=0, le=10)] = 0.001
    """Learning rate."""
    epochs: Annotated[Whole, Field(ge=1, le=100_000)] = 20
    """Passes over the training pieces."""
    batch_size: Annotated[Whole, Field(ge=1, le=1_000_000)] = 32
    """Pieces a step."""


ParametersT = TypeVar("ParametersT", bound=TrainingParameters)


class ModelType(abc.ABC, Generic[ParametersT]):
    """A kind of network over flat feature vectors."""

    Config: ClassVar[type[TrainingParameters]]

    @abc.abstractmethod
    def build(self, num_features: int, num_classes: int, config: ParametersT) -> keras.Model:
        """An untrained network.

        Args:
            num_features: Length of a piece's standardised feature vector.
            num_classes: Number of labels.
            config: The validated config.

        Returns:
            A Keras model from float32 (batch, num_features) to probabilities, float32 (batch, num_classes).
        """


MODEL_TYPES: Registry[type[ModelType[Any]]] = Registry("model type", "ser.models")
