"""Networks as LiteRT runs them: no TensorFlow, one thread."""

from __future__ import annotations

import contextlib
import threading

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from ser.errors import DamagedError
from ser.native_log import without_chatter


class LiteRTModel:
    """A network from rows of features to class probabilities. Threads may share it: they take turns.

    Attributes:
        num_features: Columns it reads.
        num_classes: Columns it gives.
    """

    def __init__(self, content: bytes) -> None:
        """Makes the network from the content of a .tflite file.

        Raises:
            DamagedError: If the content is no LiteRT model with one input and one output of two dimensions.
        """
        try:
            self._interpreter = Interpreter(model_content=content, num_threads=1)
        except ValueError as error:
            raise DamagedError(f"model.tflite is not a LiteRT model: {error}") from error
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0]["shape"]) != 2:
            raise DamagedError("model.tflite: expected one input and one output, of two dimensions each")
        self._input, self._output = inputs[0]["index"], outputs[0]["index"]
        self.num_features = int(inputs[0]["shape"][1])
        self.num_classes = int(outputs[0]["shape"][1])
        self._batch = 0
        self._turn = threading.Lock()

    def __call__(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Runs the network.

        Args:
            rows: float32, shape (n, num_features).

        Returns:
            float32, shape (n, num_classes).

        Raises:
            DamagedError: If the rows have another number of columns: they come from another front-end.
        """
        if rows.ndim != 2 or rows.shape[1] != self.num_features:
            raise DamagedError(f"model.tflite: expected rows of {self.num_features} features, got {rows.shape}")
        if not len(rows):
            return np.zeros((0, self.num_classes), dtype=np.float32)
        with self._turn:
            if len(rows) != self._batch:
                self._resize(len(rows))
            self._interpreter.set_tensor(self._input, np.ascontiguousarray(rows, dtype=np.float32))
            self._interpreter.invoke()
            probabilities: npt.NDArray[np.float32] = self._interpreter.get_tensor(self._output)
        return probabilities

    def _resize(self, batch: int) -> None:
        # The first time, LiteRT says on standard error how it computes.
        with without_chatter() if not self._batch else contextlib.nullcontext():
            self._interpreter.resize_tensor_input(self._input, (batch, self.num_features), strict=True)
            self._interpreter.allocate_tensors()
        self._batch = batch
