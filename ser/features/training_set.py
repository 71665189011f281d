"""The training part of a feature set: all that the code that fits is given.

What is fitted (standardiser, network, anything that is chosen) gets a `TrainingSet` and nothing else of the corpus:
not the rows, the labels, the names or the number of the recordings that it will be judged on.
"""

from __future__ import annotations

import mmap
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from ser.features.feature_set import FeatureSet, Sample, row_labels
from ser.features.frontend import Features, FrontEnd
from ser.features.standardiser import Standardiser
from ser.storage.row_file import RowFile

COPIED_BYTES = 64 << 20
"""Training rows of at most so many bytes are copied; larger ones are read from the disk when they are wanted."""
_ROWS_AT_ONCE = 256


class TrainingRows:
    """The rows of the training part, numbered from 0; there is no number for any other row.

    Behind the rows of the recordings come those of the first virtual speaker, in the same order, then the second's.

    They are a copy of their own, apart from the test part, as long as they take at most `COPIED_BYTES`. Larger ones
    stay in their file and are read when they are wanted: nothing in memory leads to the others there.
    """

    __slots__ = ("_index", "_rows", "_virtual", "_voices")

    _rows: Features | RowFile
    _virtual: Features | RowFile | None

    def __init__(
        self,
        rows: npt.NDArray[np.float32],
        index: npt.NDArray[np.int64],
        virtual: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """Takes some rows of all.

        Args:
            rows: float32, shape (n_all, n_features); may be memory-mapped.
            index: int64, shape (n,), ascending: which of them.
            virtual: float32, shape (n_all, n_voices, n_features): the same by virtual speakers.
        """
        self._voices = 0 if virtual is None else virtual.shape[1]
        arrays = [rows] if virtual is None else [rows, virtual]
        stays = 4 * len(index) * rows.shape[1] * (1 + self._voices) > COPIED_BYTES
        if stays and all(isinstance(array.base, mmap.mmap) for array in arrays):
            self._index = index
            self._rows, *rest = [RowFile(array) for array in arrays if isinstance(array, np.memmap)]
            self._virtual = rest[0] if rest else None
        else:
            self._index = np.arange(len(index))
            self._rows = np.ascontiguousarray(rows[index])
            self._virtual = None if virtual is None else virtual[index].reshape(-1, rows.shape[1])

    @property
    def copies(self) -> int:
        """How many rows each piece has: its own, and one a virtual speaker."""
        return 1 + self._voices

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n_features)."""
        return len(self), self._rows.shape[1]

    def __len__(self) -> int:
        return len(self._index) * self.copies

    def __getitem__(self, numbers: npt.NDArray[np.int64]) -> Features:
        """The rows of some numbers, in their order: float32, shape (len(numbers), n_features).

        Raises:
            IndexError: If there is no such number.
        """
        if len(numbers) and not -len(self) <= numbers.min() <= numbers.max() < len(self):
            raise IndexError(f"expected numbers below {len(self)}, got {numbers.min()} to {numbers.max()}")
        numbers = numbers % max(1, len(self))  # those below 0 count from the end, as everywhere in NumPy
        voice, place = np.divmod(numbers, max(1, len(self._index)))
        wanted = self._index[place]
        read = np.empty((len(wanted), self._rows.shape[1]), dtype=np.float32)
        for number in np.unique(voice):
            chosen = np.flatnonzero(voice == number)
            ascending = chosen[np.argsort(wanted[chosen], kind="stable")]  # the disk is read forward
            if number == 0 or self._virtual is None:
                read[ascending] = self._rows[wanted[ascending]]
            else:
                read[ascending] = self._virtual[wanted[ascending] * self._voices + number - 1]
        return read


@dataclass(frozen=True)
class StandardisedRows:
    """Training rows, standardised when they are read: never all in memory."""

    rows: TrainingRows
    standardiser: Standardiser

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n_features)."""
        return self.rows.shape

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, numbers: npt.NDArray[np.int64]) -> Features:
        read = np.empty((len(numbers), self.shape[1]), dtype=np.float32)
        for start in range(0, len(numbers), _ROWS_AT_ONCE):  # copies on the way are of so many rows only
            part = slice(start, start + _ROWS_AT_ONCE)
            read[part] = self.standardiser(self.rows[numbers[part]])
        return read


@dataclass(frozen=True)
class TrainingSet:
    """The recordings that are learnt from."""

    rows: TrainingRows
    """Not standardised, in the order of the samples; each sample has as many as it has pieces, once a copy."""
    samples: tuple[Sample, ...]
    frontend: FrontEnd
    """What made the features: it knows which column is what."""

    @classmethod
    def of(cls, everything: FeatureSet, names: Collection[str], frontend: FrontEnd) -> Self:
        """The samples with these names, in the feature set's order."""
        chosen = set(names)
        samples = tuple(sample for sample in everything.samples if sample.name in chosen)
        rows = TrainingRows(everything.rows, everything.numbers(chosen), everything.virtual)
        return cls(rows, samples, frontend)

    @property
    def classes(self) -> tuple[str, ...]:
        """The emotions that occur, sorted: the network's."""
        return tuple(sorted({sample.emotion for sample in self.samples}))

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """int64, shape (n_rows,): each row's index into `classes`."""
        return np.tile(row_labels(self.samples, self.classes), self.rows.copies)

    @property
    def speakers(self) -> tuple[str, ...]:
        """Each row's speaker; empty where it is not known."""
        return tuple(sample.speaker for sample in self.samples for _ in range(sample.pieces)) * self.rows.copies
