"""Networks as LiteRT runs them: no TensorFlow, one thread."""

from __future__ import annotations

import contextlib
import threading

import numpy as np
import numpy.typing as npt

from ser.bundles.network_structure import check_network
from ser.errors import DamagedError
from ser.native_log import without_chatter

_MOST_ROWS = 256
"""Rows that the network gets at once: it keeps room for all that it computes of them."""


class LiteRTModel:
    """A network from rows of features to what it says of each (`ser.bundles.judgements`).

    Threads may share it: they take turns.

    Attributes:
        num_features: Columns it reads.
        num_outputs: Columns it gives.
    """

    def __init__(self, content: bytes, where: str = "model.tflite") -> None:
        """Makes the network from the content of a .tflite file.

        Args:
            content: The file's bytes; they are checked (`ser.bundles.network_structure`) before LiteRT gets them.
            where: What to call the file in errors.

        Raises:
            DamagedError: If the content is no LiteRT model with one input and one output of two dimensions.
        """
        from ai_edge_litert.interpreter import Interpreter  # an extra, which not every command needs

        self._where = where
        try:
            check_network(content)
            self._interpreter = Interpreter(model_content=content, num_threads=1)
            (entry,), (end,) = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        except (ValueError, RuntimeError) as error:
            raise DamagedError(f"{where} is not a LiteRT model: {error}") from error
        self._input, self._output = entry["index"], end["index"]
        self.num_features, self.num_outputs = int(entry["shape"][1]), int(end["shape"][1])
        self._batch = 0
        self._turn = threading.Lock()

    def __call__(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Runs the network.

        Args:
            rows: float32, shape (n, num_features).

        Returns:
            float32, shape (n, num_outputs).

        Raises:
            DamagedError: If the rows have another number of columns, because they come from another front-end; if
                LiteRT cannot run the network, or it gives something else than a row for each row.
        """
        if rows.ndim != 2 or rows.shape[1] != self.num_features:
            raise DamagedError(f"{self._where}: expected rows of {self.num_features} features, got {rows.shape}")
        if not len(rows):
            return np.zeros((0, self.num_outputs), dtype=np.float32)
        if len(rows) > _MOST_ROWS:
            return np.concatenate([self(rows[start : start + _MOST_ROWS]) for start in range(0, len(rows), _MOST_ROWS)])
        try:
            with self._turn:
                if len(rows) != self._batch:
                    self._resize(len(rows))
                self._interpreter.set_tensor(self._input, np.ascontiguousarray(rows, dtype=np.float32))
                self._interpreter.invoke()
                probabilities: npt.NDArray[np.float32] = self._interpreter.get_tensor(self._output)
        except (ValueError, RuntimeError) as error:
            self._batch = 0
            raise DamagedError(f"{self._where}: LiteRT cannot run the network: {error}") from error
        if probabilities.shape != (len(rows), self.num_outputs):
            raise DamagedError(f"{self._where}: expected {self.num_outputs} numbers a row, got {probabilities.shape}")
        return probabilities

    def _resize(self, batch: int) -> None:
        # The first time, LiteRT says on standard error how it computes.
        with without_chatter() if not self._batch else contextlib.nullcontext():
            self._interpreter.resize_tensor_input(self._input, (batch, self.num_features), strict=True)
            self._interpreter.allocate_tensors()
        self._batch = batch
