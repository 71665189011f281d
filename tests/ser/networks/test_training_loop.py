"""What a step of the training does to a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ser.networks.training_loop import TrainingParameters, fit
from ser.progress import silent


@pytest.mark.parametrize("rate", [0.0, 0.9])
def test_units_are_left_out_while_training(rate: float) -> None:
    """Of a single row, a unit that is left out has no gradient, and its weights stay where they began."""
    from ser.networks.tensorflow_runtime import import_tensorflow

    import_tensorflow()
    import keras

    began: list[np.ndarray[Any, Any]] = []

    def build() -> Any:
        layers = [keras.Input((6,)), keras.layers.Dense(200), keras.layers.Dropout(rate)]
        network = keras.Sequential([*layers, keras.layers.Dense(3, activation="softmax")])
        began.append(network.get_weights()[0])
        return network

    config = TrainingParameters(lr=0.01, epochs=1, batch_size=1)
    rows, labels = np.ones((1, 6), np.float32), np.zeros(1, np.int64)
    network, _ = fit(build, rows, labels, config=config, seed=3, report=silent)
    moved = (network.get_weights()[0] != began[-1]).any(axis=0).mean()
    assert moved == pytest.approx(1 - rate, abs=0.08)
