"""Ridge classification: one linear system, all classes of one weight (Hoerl and Kennard, 1970; Rifkin et al., 2003).

Scores are fitted to one-hot targets. What the system is made of is kept in such a way that what the classifier would
have said of rows that it had not been solved with costs one more system a fold, and no further pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

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

    @classmethod
    def fit(cls, rows: Array, numbers: npt.NDArray[np.int64]) -> Self:
        """On some of the rows.

        Args:
            rows: float32, shape (n, n_columns); may be memory-mapped.
            numbers: int64, at least one: which rows.
        """
        parts, count = blocks(numbers), len(numbers)
        mean = sum((rows[part].sum(axis=0, dtype=np.float64) for part in parts), np.zeros(rows.shape[1])) / count
        squares = sum((np.square(rows[part] - mean).sum(axis=0) for part in parts), np.zeros(rows.shape[1]))
        return cls.of(mean, np.sqrt(squares / count))

    @classmethod
    def of(cls, mean: npt.NDArray[np.float64], deviation: npt.NDArray[np.float64]) -> Self:
        """By what columns have: float64, shape (n_columns,) each."""
        constant = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-3)
        inverse = np.where(constant, 0.0, 1.0 / np.where(constant, 1.0, deviation))
        return cls(mean.astype(np.float32), inverse.astype(np.float32))

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
    scaling = Scaling.fit(rows, np.arange(len(rows)))
    n_folds, n_classes = int(folds.max()) + 1, int(labels.max()) + 1
    counts = np.bincount(labels, minlength=n_classes)
    weight = (len(labels) / n_classes / counts)[labels].astype(np.float32)
    targets = np.eye(n_classes, dtype=np.float32)[labels]
    # The same classifier from two systems: of as many equations as there are columns, or rows.
    kind: type[_System] = _ByColumns if len(rows) > rows.shape[1] else _ByRows
    system = kind(scaling, rows, targets, weight, folds)
    ridge = Ridge(scaling, *system.solve(penalty))
    scores = np.zeros((len(rows), n_classes), dtype=np.float32)
    if n_folds > 1:
        for fold in range(n_folds):
            scores[folds == fold] = system.scores_without(fold, penalty)
    return ridge, scores


class _System(Protocol):
    """What the classifiers of a training set are solved from."""

    def __init__(
        self, scaling: Scaling, rows: Array, targets: Array, weight: Array, folds: npt.NDArray[np.int64]
    ) -> None: ...

    def solve(self, penalty: float) -> tuple[Array, Array]:
        """Weights, and the bias, which bears no penalty: rows and targets are centred."""
        ...

    def scores_without(self, fold: int, penalty: float) -> Array:
        """What the classifier that was solved without a fold's rows says of them."""
        ...


class _ByColumns:
    """Sums over rows, kept by fold: memory does not grow with the rows."""

    def __init__(
        self, scaling: Scaling, rows: Array, targets: Array, weight: Array, folds: npt.NDArray[np.int64]
    ) -> None:
        self._scaling, self._rows = scaling, rows
        self._numbers = [np.flatnonzero(folds == fold) for fold in range(int(folds.max()) + 1)]
        self._parts = [_Sums.zeros(rows.shape[1], targets.shape[1]) for _ in self._numbers]
        for part, numbers in zip(self._parts, self._numbers, strict=True):
            for block in blocks(numbers):
                part.add(scaling(rows[block]), targets[block], weight[block])
        self._whole = _Sums.zeros(rows.shape[1], targets.shape[1])
        for part in self._parts:
            self._whole.merge(part)

    def solve(self, penalty: float) -> tuple[Array, Array]:
        return self._whole.solve(penalty)

    def scores_without(self, fold: int, penalty: float) -> Array:
        self._whole.merge(self._parts[fold], sign=-1)
        without = Ridge(self._scaling, *self._whole.solve(penalty))
        self._whole.merge(self._parts[fold])
        return np.concatenate([without(self._rows[block]) for block in blocks(self._numbers[fold])])


class _ByRows:
    """Products of rows with rows (the dual problem; Saunders et al., 1998): there are fewer rows than columns."""

    def __init__(
        self, scaling: Scaling, rows: Array, targets: Array, weight: Array, folds: npt.NDArray[np.int64]
    ) -> None:
        self._scaled: Array = np.empty(rows.shape, dtype=np.float32)
        for block in blocks(np.arange(len(rows))):
            self._scaled[block] = scaling(rows[block])
        self._products = self._scaled @ self._scaled.T
        self._targets, self._weight, self._folds = targets, weight, folds

    def solve(self, penalty: float) -> tuple[Array, Array]:
        everything = np.arange(len(self._scaled))
        shares, coefficients, target = self._solve(everything, penalty)
        weights = self._scaled.T @ coefficients
        return weights, (target - (shares @ self._scaled) @ weights).astype(np.float32)

    def scores_without(self, fold: int, penalty: float) -> Array:
        kept, left_out = np.flatnonzero(self._folds != fold), np.flatnonzero(self._folds == fold)
        shares, coefficients, target = self._solve(kept, penalty)
        among = self._products[np.ix_(kept, kept)] @ shares
        products = self._products[np.ix_(left_out, kept)]
        return np.asarray((products - among) @ coefficients + target, dtype=np.float32)

    def _solve(self, kept: npt.NDArray[np.int64], penalty: float) -> tuple[Array, Array, Array]:
        """Of some rows: the share of each in their mean, its coefficients, and the targets' mean.

        Coefficients of a class sum to 0: what is added to all products with a row changes no score.
        """
        shares = self._weight[kept] / self._weight[kept].sum()
        products = self._products[np.ix_(kept, kept)]
        among = products @ shares
        root = np.sqrt(self._weight[kept])
        centred = root[:, np.newaxis] * root * (products - among[:, np.newaxis] - among + shares @ among)
        target = shares @ self._targets[kept]
        right = root[:, np.newaxis] * (self._targets[kept] - target)
        solution = _solve(centred, right, penalty * self._scaled.shape[1])
        return shares, solution * root[:, np.newaxis], target


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

    def add(self, rows: Array, targets: Array, weight: Array) -> None:
        weighted = rows * weight[:, None]
        self.products += weighted.T @ rows
        self.targets += weighted.T @ targets
        self.total += weighted.sum(axis=0)
        self.by_class += weight @ targets
        self.weight += float(weight.sum())

    def merge(self, other: _Sums, sign: int = 1) -> None:
        self.products += sign * other.products
        self.targets += sign * other.targets
        self.total += sign * other.total
        self.by_class += sign * other.by_class
        self.weight += sign * other.weight

    def solve(self, penalty: float) -> tuple[Array, Array]:
        mean, target = self.total / self.weight, self.by_class / self.weight
        system = self.products - np.outer(self.total, mean)
        weights = _solve(system, self.targets - np.outer(self.total, target), penalty * len(mean))
        return weights, (target - mean @ weights).astype(np.float32)


def _solve(system: Array, right: Array, penalty: float) -> Array:
    """The solution of (system + penalty * identity) x = right; the system is overwritten.

    Raises:
        TrainingError: If the penalty is too small for there to be one.
    """
    system[np.diag_indices_from(system)] += np.float32(penalty)
    try:
        factor = cho_factor(system, overwrite_a=True, check_finite=False)
    except LinAlgError:
        # Rows that depend on each other, and a penalty that float32 loses beside their products.
        raise TrainingError("model_config.penalty: too small to weigh these recordings; try a larger one") from None
    solution: Array = cho_solve(factor, right, check_finite=False)
    return solution


def blocks(numbers: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Numbers of rows, as many together as are scaled at once."""
    return [numbers[start : start + _BLOCK_ROWS] for start in range(0, len(numbers), _BLOCK_ROWS)]
