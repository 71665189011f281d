"""Columns on one scale, as the rows of a training set have them: all of the rows, or all but those of a fold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from ser.features.standardiser import RowSource

Array = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

CLIP = 5.0
"""Rows are scaled to a deviation of 1, and cut off here: a value never seen must not outvote all others."""
BLOCK_ROWS = 512
"""Rows that are read and scaled at once."""


@dataclass(frozen=True)
class Scaling:
    """(x - mean) * inverse_deviation, cut off at +-`CLIP`; a column that does not vary becomes 0."""

    mean: Array
    inverse_deviation: Array

    def __call__(self, rows: Array) -> Array:
        """Float32, shape as given."""
        scaled: Array = rows - self.mean
        scaled *= self.inverse_deviation
        np.clip(scaled, -CLIP, CLIP, out=scaled)
        return scaled


@dataclass(frozen=True)
class Moments:
    """Sums of each fold's rows, once: those of all folds but one are what is left of all."""

    near: Array
    """float32, shape (n_columns,): the point that sums are about, near the rows, so that no digits are lost."""
    weights: Vector
    """float64, shape (n_folds,): the rows' weights."""
    totals: Vector
    """float64, shape (n_folds, n_columns): of the rows."""
    squares: Vector
    """float64, shape (n_folds, n_columns): of their squares."""

    @classmethod
    def of(cls, rows: RowSource, weights: Array, folds: Numbers) -> Self:
        """In one pass.

        Args:
            rows: float32, shape (n, n_columns), n > 0.
            weights: float32, shape (n,): how many times each row counts.
            folds: int64, shape (n,), from 0.
        """
        n_folds = int(folds.max()) + 1
        totals, squares = np.zeros((2, n_folds, rows.shape[1]))
        near = rows[np.arange(len(rows))[:BLOCK_ROWS]].mean(axis=0, dtype=np.float64).astype(np.float32)
        for fold in range(n_folds):
            for block in blocks(np.flatnonzero(folds == fold)):
                shifted = rows[block] - near
                totals[fold] += weights[block] @ shifted
                squares[fold] += weights[block] @ np.square(shifted, out=shifted)
        return cls(near, np.bincount(folds, weights, n_folds).astype(np.float64), totals, squares)

    def scaling(self, without: int | None = None) -> Scaling:
        """The scaling by all rows, or by all but those of a fold."""
        weight, total, square = (
            sums.sum(axis=0) - (0 if without is None else sums[without])
            for sums in (self.weights, self.totals, self.squares)
        )
        mean = self.near + total / weight
        deviation = np.sqrt(np.maximum(square / weight - np.square(total / weight), 0))
        constant = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-3)
        inverse = np.where(constant, 0.0, 1.0 / np.where(constant, 1.0, deviation))
        return Scaling(mean.astype(np.float32), inverse.astype(np.float32))


def blocks(numbers: Numbers) -> list[Numbers]:
    """Numbers of rows, as many together as are scaled at once."""
    return [numbers[start : start + BLOCK_ROWS] for start in range(0, len(numbers), BLOCK_ROWS)]
