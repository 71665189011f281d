"""What a network was after each epoch, to be judged when the training is done.

Rows that a network is judged on must not be within reach of the code that fits it. So the watch of a training only
keeps weights, and the validation rows are read when there is nothing left to fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ser.features.standardiser import RowSource
from ser.networks.tensorflow_runtime import import_tensorflow
from ser.networks.training_loop import BLOCK_BYTES, Blocks, Labels, loss_and_hits

if TYPE_CHECKING:
    import keras

KEPT_BYTES = 128 << 20
"""Weights that are kept at most: all of 190 epochs of a perceptron that reads a second of MFCC."""


class EpochWeights:
    """A watch (`training_loop.Watch`) that keeps the weights of each epoch.

    Where they would take more than is allowed it keeps those of every second epoch, fourth, and so on, and the last.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        """Keeps nothing yet.

        Args:
            kept_bytes: Weights that are kept at most; those of two epochs always are.
        """
        self._kept_bytes = kept_bytes
        self._kept: dict[int, list[npt.NDArray[Any]]] = {}
        self._epochs, self._stride = 0, 1
        self._model: keras.Model | None = None

    def __call__(self, model: keras.Model) -> None:
        """Keeps the weights that a network has now; the same network at every call."""
        self._model = model
        if self._epochs % self._stride:
            del self._kept[self._epochs]  # it was there as the last one only
        self._epochs += 1
        weights = model.get_weights()
        self._kept[self._epochs] = weights
        size = sum(weight.nbytes for weight in weights)
        while len(self._kept) > 2 and size * len(self._kept) > self._kept_bytes:
            self._stride *= 2
            self._kept = {
                number: kept
                for number, kept in self._kept.items()
                if number % self._stride == 0 or number == self._epochs
            }

    def judge(self, rows: RowSource, labels: Labels, *, block_bytes: int = BLOCK_BYTES) -> dict[str, list[float]]:
        """Loss and accuracy of each epoch on rows that nothing was learnt from; the network is as it was in the end.

        Args:
            rows: float32, shape (m, n_features), m > 0, as the network takes them.
            labels: int64, shape (m,), indices of classes.
            block_bytes: Rows of so many bytes are in memory at once.

        Returns:
            `val_loss` and `val_accuracy`, a value an epoch: of one that was not kept, that of the next that was. Empty
            if there were no epochs.
        """
        if self._model is None:
            return {}
        look, blocks = _compile_look(self._model), Blocks(rows, labels, max(1, block_bytes // (4 * rows.shape[1])))
        order, now = np.arange(len(rows)), self._model.get_weights()
        history: dict[str, list[float]] = {"val_loss": [], "val_accuracy": []}
        try:
            for number, weights in self._kept.items():
                self._model.set_weights(weights)
                loss, hits = sum(look(part, expected).numpy() for part, expected, _ in blocks(order))
                for name, value in (("val_loss", loss), ("val_accuracy", hits)):
                    history[name] += [float(value) / len(rows)] * (number - len(history[name]))
        finally:
            self._model.set_weights(now)
        return history


def _compile_look(model: keras.Model) -> Any:
    tf = import_tensorflow()
    width = model.input_shape[-1]

    @tf.function(input_signature=[tf.TensorSpec((None, width), tf.float32), tf.TensorSpec((None,), tf.int64)])  # type: ignore[untyped-decorator]
    def look(rows: Any, labels: Any) -> Any:
        return loss_and_hits(model(rows, training=False), labels)

    return look
