"""A perceptron with one hidden layer, regularised by dropout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ser.config import Real, Whole
from ser.models.base import MODEL_TYPES, NetworkType
from ser.networks.training_loop import TrainingParameters

if TYPE_CHECKING:
    import keras

HIDDEN_UNITS = 100


class KerasDropoutClassifierConfig(TrainingParameters):
    """By default 100 epochs in batches of 32 at a learning rate of 0.001."""

    epochs: Annotated[Whole, Field(ge=1, le=100_000)] = 100
    """Passes over the training pieces."""
    dropout: Annotated[Real, Field(ge=0, lt=1)] = 0.2
    """Share of the inputs, and of the hidden units, that a step leaves out (Srivastava et al., 2014)."""


@MODEL_TYPES.register()
class KerasDropoutClassifier(NetworkType[KerasDropoutClassifierConfig]):
    """Dropout, Dense(100, relu), dropout, then softmax."""

    Config = KerasDropoutClassifierConfig

    def build(self, num_features: int, num_classes: int, config: KerasDropoutClassifierConfig) -> keras.Model:
        """See `NetworkType.build`."""
        from keras import Sequential, layers

        return Sequential(
            [
                layers.Input((num_features,)),
                layers.Dropout(config.dropout),
                layers.Dense(HIDDEN_UNITS, activation="relu"),
                layers.Dropout(config.dropout),
                layers.Dense(num_classes, activation="softmax"),
            ]
        )
