"""Rows that lie in a file and are read by their numbers, none of them in memory before."""

from __future__ import annotations

import itertools
import os
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

from ser.errors import DamagedError


class RowFile:
    """The rows of an array in a file. It maps nothing: whoever has it has the numbers that it asks for."""

    __slots__ = ("__weakref__", "_descriptor", "_path", "_start", "shape")

    def __init__(self, array: np.memmap[Any, np.dtype[np.float32]]) -> None:
        """Opens the file of a memory-mapped array.

        Args:
            array: float32, of two dimensions or more, whole; the last is a row.

        Raises:
            OSError: If the file is gone.
        """
        self._path = str(array.filename)
        self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)
        self._start = array.offset
        self.shape: tuple[int, int] = (array.size // array.shape[-1], array.shape[-1])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """The rows of some numbers, in their order: float32, shape (len(numbers), n_features).

        Raises:
            DamagedError: If the file has become shorter.
        """
        rows = np.empty((len(numbers), self.shape[1]), dtype="<f4")
        runs = np.flatnonzero(np.diff(numbers) != 1) + 1  # neighbours are read at once
        edges = [0, *runs.tolist(), len(numbers)] if len(numbers) else []
        for first, last in itertools.pairwise(edges):
            place = self._start + int(numbers[first]) * 4 * self.shape[1]
            wanted = rows[first:last].data.cast("B")
            while wanted:
                read = os.preadv(self._descriptor, [wanted], place)
                if not read:
                    raise DamagedError(f"{self._path} is shorter than what was written there")
                wanted, place = wanted[read:], place + read
        return rows
