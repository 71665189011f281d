"""Ridge classification: one linear system, all classes of one weight (Hoerl and Kennard, 1970; Rifkin et al., 2003).

Scores are fitted to one-hot targets. What the system is made of is kept, so that what the classifier would have said of
rows that it had not been solved with costs one more system a fold. Rows are read in blocks, as often as they are
wanted: two matrices are in memory, of as many lines as there are columns, or rows if there are fewer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.linalg.blas import ssymm, ssyrk
from scipy.linalg.lapack import spotrf, spotrs

from ser.errors import TrainingError
from ser.experts.scaling import BLOCK_ROWS, Moments, Scaling, blocks
from ser.features.standardiser import RowSource

Array = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

_HELD_ROWS = 8 * BLOCK_ROWS
"""Scaled rows that all others are multiplied with while they are held; the others are read anew for each so many."""


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
    rows: RowSource, labels: Numbers, folds: Numbers, *, penalty: float, weights: Array | None = None
) -> tuple[Ridge, Array]:
    """Solves for a classifier.

    Args:
        rows: float32, shape (n, n_columns); read in blocks, several times.
        labels: int64, shape (n,), from 0; each class occurs.
        folds: int64, shape (n,), from 0: rows that must not vouch for each other have the same number.
        penalty: Of the squared weights, for rows scaled to a norm of about 1; more than 0.
        weights: float32, shape (n,), not negative: how many times each row counts, in the scaling too; once by default.
            Of each class and of all but each fold at least one row counts.

    Returns:
        The classifier, and the scores of each row by the one solved without its fold: float32, shape (n, n_classes).
        Where all is one fold, there is nothing to be solved without it, and the scores are zeros.

    Raises:
        TrainingError: If the penalty is too small for rows that depend on each other.
    """
    counted = np.ones(len(rows), dtype=np.float32) if weights is None else weights
    n_folds, n_classes = int(folds.max()) + 1, int(labels.max()) + 1
    scaling = Moments.of(rows, counted, folds).scaling()
    of_class = np.bincount(labels, counted, n_classes)
    balanced = (counted * (of_class.sum() / n_classes / of_class)[labels]).astype(np.float32)
    targets = np.eye(n_classes, dtype=np.float32)[labels]
    # The same classifier from two systems: of as many equations as there are columns, or rows. The smaller one takes
    # less memory, and with the systems of five folds less arithmetic too, but for 14 % more rows than columns.
    kind: type[_System] = _ByColumns if len(rows) > rows.shape[1] else _ByRows
    system = kind(scaling, rows, targets, balanced, folds)
    ridge = Ridge(scaling, *system.solve(penalty))
    scores = np.zeros((len(rows), n_classes), dtype=np.float32)
    if n_folds > 1:
        for fold in range(n_folds):
            scores[folds == fold] = system.scores_without(fold, penalty)
    return ridge, scores


class _System(Protocol):
    """What the classifiers of a training set are solved from."""

    def __init__(self, scaling: Scaling, rows: RowSource, targets: Array, weights: Array, folds: Numbers) -> None: ...

    def solve(self, penalty: float) -> tuple[Array, Array]:
        """Weights, and the bias, which bears no penalty: rows and targets are centred."""
        ...

    def scores_without(self, fold: int, penalty: float) -> Array:
        """What the classifier that was solved without a fold's rows says of them."""
        ...


class _ByColumns:
    """Products of columns with columns, summed over the rows; those of a fold are summed again, to be taken away."""

    def __init__(self, scaling: Scaling, rows: RowSource, targets: Array, weights: Array, folds: Numbers) -> None:
        self._scaling, self._rows, self._weights, self._folds = scaling, rows, weights, folds
        self._answers = np.append(targets, np.ones((len(targets), 1), np.float32), axis=1)
        self._whole, self._work = (_Sums.zeros(rows.shape[1], self._answers.shape[1]) for _ in range(2))
        self._add(self._whole, np.arange(len(rows)), sign=1)

    def solve(self, penalty: float) -> tuple[Array, Array]:
        self._work.take(self._whole)
        return self._work.solve(penalty)

    def scores_without(self, fold: int, penalty: float) -> Array:
        numbers = np.flatnonzero(self._folds == fold)
        self._work.take(self._whole)
        self._add(self._work, numbers, sign=-1)
        without = Ridge(self._scaling, *self._work.solve(penalty))
        return np.concatenate([without(self._rows[block]) for block in blocks(numbers)])

    def _add(self, sums: _Sums, numbers: Numbers, sign: int) -> None:
        for block in blocks(numbers):
            sums.add(self._scaling(self._rows[block]), self._answers[block], self._weights[block], sign)


@dataclass
class _Sums:
    """Weighted sums over rows, and over answers: the targets and a 1."""

    products: Array
    """shape (n_columns, n_columns), as Fortran orders it: of columns with columns; the lower half counts."""
    sides: Array
    """shape (n_columns, n_answers): of columns with answers."""
    answers: Array
    """shape (n_answers,)."""

    @classmethod
    def zeros(cls, n_columns: int, n_answers: int) -> _Sums:
        products = np.zeros((n_columns, n_columns), dtype=np.float32, order="F")
        return cls(products, *(np.zeros(shape, np.float32) for shape in ((n_columns, n_answers), (n_answers,))))

    def take(self, other: _Sums) -> None:
        """Becomes the same, in its own place."""
        for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True):
            np.copyto(mine, theirs)

    def add(self, rows: Array, answers: Array, weights: Array, sign: int) -> None:
        """Adds rows, or takes them away; they are overwritten."""
        root = np.sqrt(weights)[:, np.newaxis]
        rows *= root
        self.products = ssyrk(sign, rows.T, 1, self.products, lower=1, overwrite_c=1)
        self.sides += sign * (rows.T @ (root * answers))
        self.answers += sign * (weights @ answers)

    def solve(self, penalty: float) -> tuple[Array, Array]:
        """Weights and bias; the sums are overwritten."""
        weight, target = self.answers[-1], self.answers[:-1] / self.answers[-1]
        mean = self.sides[:, -1] / weight
        centred = ssyrk(-weight, mean[:, np.newaxis], 1, self.products, lower=1, overwrite_c=1)
        right = self.sides[:, :-1] - np.outer(self.sides[:, -1], target)
        weights = _solve(centred, right, penalty * len(mean))
        return weights, (target - mean @ weights).astype(np.float32)


class _ByRows:
    """Products of rows with rows (the dual problem; Saunders et al., 1998): there are no more rows than columns."""

    def __init__(self, scaling: Scaling, rows: RowSource, targets: Array, weights: Array, folds: Numbers) -> None:
        self._scaling, self._rows, self._targets, self._weights = scaling, rows, targets, weights
        self._folds = folds
        # As Fortran orders them; the lower half counts.
        self._products, self._work = (np.zeros((len(rows), len(rows)), np.float32, order="F") for _ in range(2))
        for first in range(0, len(rows), _HELD_ROWS):
            held = np.empty((min(_HELD_ROWS, len(rows) - first), rows.shape[1]), dtype=np.float32)
            for block in blocks(np.arange(len(held))):
                held[block] = self._scaled(block + first)
            for block in blocks(np.arange(first, len(rows))):
                start, stop = block[0] - first, block[-1] + 1 - first
                part = held[start:stop] if stop <= len(held) else self._scaled(block)
                others = held[:stop]
                self._products[block[0] : block[-1] + 1, first : first + len(others)] = part @ others.T

    def solve(self, penalty: float) -> tuple[Array, Array]:
        coefficients, shares, target = self._solve(self._weights, penalty)
        factors = np.append(coefficients, shares[:, np.newaxis], axis=1)
        sums = np.zeros((self._rows.shape[1], factors.shape[1]), dtype=np.float32)
        for block in blocks(np.arange(len(self._rows))):
            sums += self._scaled(block).T @ factors[block]
        weights, mean = np.ascontiguousarray(sums[:, :-1]), sums[:, -1]
        return weights, (target - mean @ weights).astype(np.float32)

    def scores_without(self, fold: int, penalty: float) -> Array:
        left_out = self._folds == fold
        coefficients, shares, target = self._solve(np.where(left_out, np.float32(0), self._weights), penalty)
        among = ssymm(1, self._products, shares[:, np.newaxis], lower=1)[:, 0]
        scores = ssymm(1, self._products, coefficients, lower=1) - among @ coefficients + target
        return np.asarray(scores[left_out], dtype=np.float32)

    def _solve(self, weights: Array, penalty: float) -> tuple[Array, Array, Array]:
        """With these weights: each row's coefficients, its share in the mean of the rows, and the targets' mean.

        Coefficients of a class sum to 0: what is added to all products with a row changes no score.
        """
        shares = weights / weights.sum()
        root = np.sqrt(weights)
        among = ssymm(1, self._products, shares[:, np.newaxis], lower=1)[:, 0]
        target = shares @ self._targets
        centred = self._work
        np.subtract(self._products, among, out=centred)
        centred -= (among - shares @ among)[:, np.newaxis]
        centred *= root
        centred *= root[:, np.newaxis]
        right = root[:, np.newaxis] * (self._targets - target)
        solution = _solve(centred, right, penalty * self._rows.shape[1])
        return solution * root[:, np.newaxis], shares, target

    def _scaled(self, block: Numbers) -> Array:
        return self._scaling(self._rows[block])


def _solve(system: Array, right: Array, penalty: float) -> Array:
    """The solution of (system + penalty * identity) x = right.

    Args:
        system: Symmetric, as Fortran orders it; its lower half counts. It is overwritten.
        right: shape (n, n_classes).
        penalty: More than 0.

    Raises:
        TrainingError: If the penalty is too small for there to be one.
    """
    system[np.diag_indices_from(system)] += np.float32(penalty)
    factor, failed = spotrf(system, lower=1, clean=0, overwrite_a=1)
    if failed:
        # Rows that depend on each other, and a penalty that float32 loses beside their products.
        raise TrainingError("model_config.penalty: too small to weigh these recordings; try a larger one")
    solution, _ = spotrs(factor, right, lower=1)
    return np.ascontiguousarray(solution)
