"""The standardiser: columns of features on one scale, as a training found them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt


class RowSource(Protocol):
    """Rows of features: an array, or something that reads them when they are wanted."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, n_features)."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """The rows of some numbers, in their order: float32, shape (len(index), n_features)."""
        ...


@dataclass(frozen=True)
class Standardiser:
    """Column-wise (x - mean) / deviation, fitted on training pieces.

    A column that does not vary in training becomes zero: dividing by its deviation would blow a value never
    seen, as the one-hot of a new speaker, up to infinity.
    """

    mean: npt.NDArray[np.float32]
    """float32, shape (n_features,)."""
    inverse_deviation: npt.NDArray[np.float32]
    """float32, shape (n_features,); 0 where the deviation is 0."""

    @classmethod
    def fit(cls, rows: RowSource, *, chunk: int = 4096) -> Self:
        """Fits on rows.

        Args:
            rows: float32, shape (n, n_features); may be memory-mapped.
            chunk: Rows that are in memory at once.
        """
        parts = np.split(np.arange(len(rows)), range(chunk, len(rows), chunk))
        # Two passes in float64: exact enough for any offset, and no second copy of the rows.
        total = sum((rows[part].sum(axis=0, dtype=np.float64) for part in parts), np.zeros(rows.shape[1]))
        mean = total / len(rows)
        squares = sum((np.square(rows[part] - mean).sum(axis=0) for part in parts), np.zeros(rows.shape[1]))
        deviation = np.sqrt(squares / len(rows))
        constant = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-6)
        inverse = np.where(constant, 0.0, 1.0 / np.where(constant, 1.0, deviation))
        return cls(mean.astype(np.float32), inverse.astype(np.float32))

    @classmethod
    def identity(cls, num_features: int) -> Self:
        """Leaves everything as it is: for models that scale their features themselves."""
        return cls(np.zeros(num_features, dtype=np.float32), np.ones(num_features, dtype=np.float32))

    def __call__(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Standardised rows, float32, shape as given."""
        standardised: npt.NDArray[np.float32] = (rows - self.mean) * self.inverse_deviation
        return standardised
