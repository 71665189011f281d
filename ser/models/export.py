"""From the trained network to the file that serves it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ser.errors import TrainingError
from ser.litert import LiteRTModel
from ser.models.tensorflow_runtime import import_tensorflow
from ser.native_log import without_chatter

if TYPE_CHECKING:
    import keras

TOLERANCE = 1e-4
"""Greatest difference of a probability between the exported and the trained network."""


def export_tflite(model: keras.Model, path: Path) -> None:
    """Writes a network as a LiteRT model: float32 weights, batches of any size."""
    tf = import_tensorflow()
    # By way of a saved model: `from_keras_model` does the same and prints where, and a concrete function's
    # variables are not frozen (TensorFlow 2.21), so that the served network reads memory nobody has set.
    with tempfile.TemporaryDirectory() as folder, without_chatter():
        model.export(folder, format="tf_saved_model", verbose=False)
        path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())


def check_agreement(model: keras.Model, served: LiteRTModel, rows: npt.NDArray[np.float32]) -> None:
    """Holds the exported network against the trained one.

    Args:
        model: The trained network.
        served: The exported one.
        rows: float32, shape (n, n_features), standardised.

    Raises:
        TrainingError: If a probability differs by more than `TOLERANCE`, or is not a number.
    """
    difference = float(np.abs(served(rows) - np.asarray(model(rows, training=False).numpy())).max(initial=0.0))
    if not difference <= TOLERANCE:
        raise TrainingError(
            f"the exported model does not agree with the trained one: expected probabilities within {TOLERANCE:g}, "
            f"they differ by up to {difference:g}"
        )
