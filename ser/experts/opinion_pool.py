"""Logarithmic opinion pool: how much say each of several experts has, and how sure they are together.

The scores of the experts are added, each times a weight (Genest and Zidek, 1986): by these weights the labels of
recordings that were not learnt from are most probable (Heskes, 1998). Who is right more often has more say. The weight
of one expert alone is the inverse of its temperature (Guo et al., 2017): of what is called 80 % probable, 80 % is so.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

_BOUNDS = (0.1, 100.0)
"""No expert is silenced: of scores that tell nothing, their order is left."""


def fit_weights(scores: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The weights by which scores of rows that were not learnt from are most probable.

    Args:
        scores: float32, shape (n_experts, n, n_classes).
        labels: int64, shape (n,), from 0.

    Returns:
        What the scores are to be multiplied by before they are added and the softmax is taken: float32, shape
        (n_experts,), 0.1 to 100; 1 each if no scores say anything.
    """
    given, start = scores.astype(np.float64), np.ones(len(scores))
    # Convex: there is one answer wherever the search begins, which goes nowhere where scores say nothing.
    found = minimize(_surprise, start, (given, labels), jac=True, method="L-BFGS-B", bounds=[_BOUNDS] * len(given))
    weights: npt.NDArray[np.float32] = found.x.astype(np.float32)
    return weights


def _surprise(
    weights: npt.NDArray[np.float64], scores: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]
) -> tuple[float, npt.NDArray[np.float64]]:
    """Mean negative logarithm of the labels' probabilities, and its gradient by the weights."""
    rows = np.arange(len(labels))
    logits = np.tensordot(weights, scores, axes=1)
    logits -= logits.max(axis=1, keepdims=True)
    probabilities = np.exp(logits)
    total = probabilities.sum(axis=1, keepdims=True)
    surprise = float((np.log(total[:, 0]) - logits[rows, labels]).mean())
    error = probabilities / total
    error[rows, labels] -= 1
    return surprise, np.tensordot(scores, error, axes=2) / len(labels)
