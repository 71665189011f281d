"""Ridge classification: one linear system, all classes of one weight (Hoerl and Kennard, 1970; Rifkin et al., 2003).

Scores are fitted to one-hot targets. The system is made of sums over rows, kept by fold, so that what the classifier
would have said of rows that it had not been solved with costs one more system a fold, and no further pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from ser.errors import TrainingError

Array = npt.NDArray[np.float32]

CLIP = 5.0
"""Rows are scaled to a deviation of 1, and cut off here: a value never seen must not outvote all others."""
_BLOCK_ROWS = 1024


@dataclass(frozen=True)
class Scaling:
    """(x - mean) * inverse_deviation, cut off at +-`CLIP`; a column that does not vary becomes 0."""

    mean: Array
    inverse_deviation: Array

    def __call__(self, rows: Array) -> Array:
        """Float32, shape as given."""
        scaled: Array = np.clip((rows - self.mean) * self.inverse_deviation, -CLIP, CLIP)
        return scaled


@dataclass(frozen=True)
class Ridge:
    """A linear classifier."""

    scaling: Scaling
    weights: Array
    """float32, shape (n_columns, n_classes)."""
    bias: Array
    """float32, shape (n_classes,)."""

    def __call__(self, rows: Array) -> Array:
        """Scores, float32, shape (n, n_classes)."""
        scores: Array = self.scaling(rows) @ self.weights + self.bias
        return scores


def fit_ridge(
    rows: Array, labels: npt.NDArray[np.int64], folds: npt.NDArray[np.int64], *, penalty: float
) -> tuple[Ridge, Array]:
    """Solves for a classifier.

    Args:
        rows: float32, shape (n, n_columns); may be memory-mapped.
        labels: int64, shape (n,), from 0; each class occurs.
        folds: int64, shape (n,), from 0: rows that must not vouch for each other have the same number.
        penalty: Of the squared weights, for rows scaled to a norm of about 1; more than 0.

    Returns:
        The classifier, and the scores of each row by the one solved without its fold: float32, shape (n, n_classes).
        Where all is one fold, there is nothing to be solved without it, and the scores are zeros.

    Raises:
        TrainingError: If the penalty is too small for rows that depend on each other.
    """
    scaling = _fit_scaling(rows)
    n_folds, n_classes = int(folds.max()) + 1, int(labels.max()) + 1
    counts = np.bincount(labels, minlength=n_classes)
    weight = (len(labels) / n_classes / counts)[labels].astype(np.float32)
    sums = [_Sums.zeros(rows.shape[1], n_classes) for _ in range(n_folds)]
    # By fold, so that a block adds to one set of sums.
    for fold in range(n_folds):
        for block in _blocks(np.flatnonzero(folds == fold)):
            sums[fold].add(scaling(rows[block]), labels[block], weight[block])
    whole = _Sums.zeros(rows.shape[1], n_classes)
    for part in sums:
        whole.merge(part)
    ridge = Ridge(scaling, *whole.solve(penalty))
    scores = np.zeros((len(rows), n_classes), dtype=np.float32)
    if n_folds > 1:
        for fold in range(n_folds):
            whole.merge(sums[fold], sign=-1)
            without = Ridge(scaling, *whole.solve(penalty))
            whole.merge(sums[fold])
            for block in _blocks(np.flatnonzero(folds == fold)):
                scores[block] = without(rows[block])
    return ridge, scores


@dataclass
class _Sums:
    """What the system of a set of rows is made of."""

    products: Array
    """shape (n_columns, n_columns)"""
    targets: Array
    """shape (n_columns, n_classes)"""
    total: Array
    """shape (n_columns,): the weighted sum of the rows"""
    by_class: Array
    """shape (n_classes,): the weighted sum of the targets"""
    weight: float

    @classmethod
    def zeros(cls, n_columns: int, n_classes: int) -> _Sums:
        shapes = ((n_columns, n_columns), (n_columns, n_classes), (n_columns,), (n_classes,))
        products, targets, total, by_class = (np.zeros(shape, dtype=np.float32) for shape in shapes)
        return cls(products, targets, total, by_class, 0.0)

    def add(self, rows: Array, labels: npt.NDArray[np.int64], weight: Array) -> None:
        weighted = rows * weight[:, None]
        one_hot = np.eye(len(self.by_class), dtype=np.float32)[labels]
        self.products += weighted.T @ rows
        self.targets += weighted.T @ one_hot
        self.total += weighted.sum(axis=0)
        self.by_class += weight @ one_hot
        self.weight += float(weight.sum())

    def merge(self, other: _Sums, sign: int = 1) -> None:
        self.products += sign * other.products
        self.targets += sign * other.targets
        self.total += sign * other.total
        self.by_class += sign * other.by_class
        self.weight += sign * other.weight

    def solve(self, penalty: float) -> tuple[Array, Array]:
        """Weights, and the bias, which bears no penalty: rows and targets are centred.

        Raises:
            TrainingError: If the penalty is too small for the system to have one solution.
        """
        mean, target = self.total / self.weight, self.by_class / self.weight
        system = self.products - np.outer(self.total, mean)
        system[np.diag_indices_from(system)] += np.float32(penalty * len(mean))
        right = self.targets - np.outer(self.total, target)
        try:
            factor = cho_factor(system, overwrite_a=True, check_finite=False)
        except LinAlgError:
            # Rows that depend on each other, and a penalty that float32 loses beside their products.
            raise TrainingError("model_config.penalty: too small to weigh these recordings; try a larger one") from None
        weights = cho_solve(factor, right, check_finite=False)
        return weights.astype(np.float32), (target - mean @ weights).astype(np.float32)


def _fit_scaling(rows: Array) -> Scaling:
    blocks = _blocks(np.arange(len(rows)))
    mean = sum((rows[block].sum(axis=0, dtype=np.float64) for block in blocks), np.zeros(rows.shape[1])) / len(rows)
    squares = sum((np.square(rows[block] - mean).sum(axis=0) for block in blocks), np.zeros(rows.shape[1]))
    deviation = np.sqrt(squares / len(rows))
    constant = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-3)
    inverse = np.where(constant, 0.0, 1.0 / np.where(constant, 1.0, deviation))
    return Scaling(mean.astype(np.float32), inverse.astype(np.float32))


def _blocks(numbers: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    return [numbers[start : start + _BLOCK_ROWS] for start in range(0, len(numbers), _BLOCK_ROWS)]
