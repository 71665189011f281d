"""A perceptron with one hidden layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ser.models.base import MODEL_TYPES, NetworkType
from ser.networks.training_loop import TrainingParameters

if TYPE_CHECKING:
    import keras

HIDDEN_UNITS = 100


class KerasClassifierConfig(TrainingParameters):
    """By default 20 epochs in batches of 32 at a learning rate of 0.001."""


@MODEL_TYPES.register()
class KerasClassifier(NetworkType[KerasClassifierConfig]):
    """Dense(100, relu), then softmax."""

    Config = KerasClassifierConfig

    def build(self, num_features: int, num_classes: int, config: KerasClassifierConfig) -> keras.Model:  # noqa: ARG002
        """See `NetworkType.build`."""
        from keras import Sequential, layers

        return Sequential(
            [
                layers.Input((num_features,)),
                layers.Dense(HIDDEN_UNITS, activation="relu"),
                layers.Dense(num_classes, activation="softmax"),
            ]
        )
