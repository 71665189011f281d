"""Temperature: how sure scores may be, so that of what is called 80 % probable, 80 % is so (Guo et al., 2017)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_TRIED = np.geomspace(0.01, 10, 200)


def fit_temperature(scores: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    """The temperature by which scores of rows that were not learnt from are most probable.

    Args:
        scores: float32, shape (n, n_classes).
        labels: int64, shape (n,).

    Returns:
        What the scores are to be divided by before the softmax; 1 if they say nothing.
    """
    if not scores.any():
        return 1.0
    return float(_TRIED[np.argmin([_surprise(scores / temperature, labels) for temperature in _TRIED])])


def _surprise(scores: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> float:
    shifted = scores - scores.max(axis=1, keepdims=True)
    return float((np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]).mean())
