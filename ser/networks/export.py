"""From the trained network to the file that serves it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ser.bundles.litert import LiteRTModel
from ser.errors import TrainingError
from ser.native_log import without_chatter
from ser.networks.tensorflow_runtime import import_tensorflow
from ser.os_errors import about, temporary_folder

if TYPE_CHECKING:
    import keras

TOLERANCE = 1e-4
"""Greatest difference of a probability between the exported and the trained network."""
INT8_TOLERANCE = 0.1
"""The same where weights have eight bits."""
_BLOCK_ROWS = 256


def export_tflite(model: keras.Model, path: Path, *, int8: bool = False) -> None:
    """Writes a network as a LiteRT model for batches of any size.

    Args:
        model: The network.
        path: The file to write.
        int8: Store weights in eight bits, a quarter of the size (dynamic range quantisation: inputs of a product are
            quantised as they come); else float32.
    """
    tf = import_tensorflow()
    # By way of a saved model: `from_keras_model` does the same and prints where, and a concrete function's
    # variables are not frozen (TensorFlow 2.21), so that the served network reads memory nobody has set.
    with temporary_folder() as folder, without_chatter():
        model.export(str(folder), format="tf_saved_model", verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
        if int8:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        network = converter.convert()
    with about(path):
        path.write_bytes(network)


def check_agreement(
    model: keras.Model, served: LiteRTModel, rows: npt.NDArray[np.float32], *, int8: bool = False
) -> None:
    """Holds the exported network against the trained one.

    Args:
        model: The trained network.
        served: The exported one.
        rows: float32, shape (n, n_features), standardised.
        int8: The exported one's weights have eight bits.

    Raises:
        TrainingError: If a probability differs by more than `TOLERANCE`, `INT8_TOLERANCE` for eight bits, or is not a
            number.
    """
    tolerance = INT8_TOLERANCE if int8 else TOLERANCE
    blocks = [rows[start : start + _BLOCK_ROWS] for start in range(0, len(rows), _BLOCK_ROWS)]
    differences = [np.abs(served(block) - np.asarray(model(block, training=False))).max() for block in blocks]
    difference = float(np.max(differences, initial=0.0))
    if not difference <= tolerance:
        raise TrainingError(
            f"the exported model does not agree with the trained one: expected probabilities within {tolerance:g}, "
            f"they differ by up to {difference:g}"
        )
