"""The training part of a feature set: all that the code that fits is given.

What is fitted (standardiser, network, anything that is chosen) gets a `TrainingSet` and nothing else of the corpus:
not the rows, the labels, the names or the number of the recordings that it will be judged on.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from ser.feature_set import FeatureSet, Sample, row_labels
from ser.frontend import Features, Standardiser

COPIED_BYTES = 64 << 20
"""Training rows of at most so many bytes are copied; larger ones are read from the disk when they are wanted."""


class TrainingRows:
    """The rows of the training part, numbered from 0; there is no number for any other row.

    They are a copy of their own, apart from the test part, as long as they take at most `COPIED_BYTES`. Larger ones
    stay where they are, memory-mapped and private to this object.
    """

    __slots__ = ("_index", "_rows")

    def __init__(self, rows: npt.NDArray[np.float32], index: npt.NDArray[np.int64]) -> None:
        """Takes some rows of all.

        Args:
            rows: float32, shape (n_all, n_features); may be memory-mapped.
            index: int64, shape (n,), ascending: which of them.
        """
        if 4 * len(index) * rows.shape[1] <= COPIED_BYTES:
            rows, index = np.ascontiguousarray(rows[index]), np.arange(len(index))
        self._rows, self._index = rows, index

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n_features)."""
        return len(self._index), self._rows.shape[1]

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, numbers: npt.NDArray[np.int64]) -> Features:
        """The rows of some numbers, in their order: float32, shape (len(numbers), n_features).

        Raises:
            IndexError: If there is no such number.
        """
        wanted = self._index[numbers]
        ascending = np.argsort(wanted, kind="stable")  # the disk is read forward
        read = np.empty((len(wanted), self._rows.shape[1]), dtype=np.float32)
        read[ascending] = self._rows[wanted[ascending]]
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
        return self.standardiser(self.rows[numbers])


@dataclass(frozen=True)
class TrainingSet:
    """The recordings that are learnt from."""

    rows: TrainingRows
    """Not standardised, in the order of the samples; each sample has as many as it has pieces."""
    samples: tuple[Sample, ...]

    @classmethod
    def of(cls, everything: FeatureSet, names: Collection[str]) -> Self:
        """The samples with these names, in the feature set's order."""
        chosen = set(names)
        samples = tuple(sample for sample in everything.samples if sample.name in chosen)
        return cls(TrainingRows(everything.rows, everything.numbers(chosen)), samples)

    @property
    def classes(self) -> tuple[str, ...]:
        """The emotions that occur, sorted: the network's."""
        return tuple(sorted({sample.emotion for sample in self.samples}))

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """int64, shape (n_rows,): each row's index into `classes`."""
        return row_labels(self.samples, self.classes)

    @property
    def speakers(self) -> tuple[str, ...]:
        """Each row's speaker; empty where it is not known."""
        return tuple(sample.speaker for sample in self.samples for _ in range(sample.pieces))
