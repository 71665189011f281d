"""How far a recording lies from what a model has learnt, and how sure the model may be of it therefore.

The distance of a recording is the mean square of its features, each scaled to a deviation of 1 over the training rows:
about 1 for what resembles the training, more for another language, room or telephone, far more for what is no speech.
Measured are the features that a pretrained encoder gives, where there are such; functionals, by which other corpora
look more alike, where not. Beyond the reach, a distance that is exceptional for a stranger of the training corpus
itself, probabilities are lowered. Within one foreign corpus, distance does not tell the right answers from the wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ser.experts.scaling import Moments, blocks
from ser.features.standardiser import RowSource

Array = npt.NDArray[np.float32]

QUANTILE = 0.9
"""So many clips of training speakers, each heard as a stranger's, lie within the reach."""
POWER = 2.0
"""Beyond the reach, the temperature grows with the distance to this power. Chosen by how sure a model of EmoDB was of
EMOVO: with 0, 1, 1.4, 2 and 3 its calibration error is 0.25, 0.17, 0.12, 0.07 and 0.08."""
STEEPNESS = 4.0
"""How fast familiarity falls around the reach, where it is one half."""


def unheard_distances(rows: RowSource, folds: npt.NDArray[np.int64], count: int, weights: Array | None = None) -> Array:
    """Distances of training rows, each by the scaling of the rows of all other folds.

    Args:
        rows: float32, shape (n, n_columns); read in blocks.
        folds: int64, shape (n,), from 0: rows that must not vouch for each other have the same number.
        count: How many rows, from the first on, are judged.
        weights: As of `ser.experts.ridge.fit_ridge`.

    Returns:
        float32, shape (count,); where all is one fold, by the scaling of all rows.
    """
    found = np.empty(count, dtype=np.float32)
    moments = Moments.of(rows, np.ones(len(rows), dtype=np.float32) if weights is None else weights, folds)
    alone = len(moments.weights) == 1
    for fold in range(len(moments.weights)):
        scaling = moments.scaling(without=None if alone else fold)
        for block in blocks(np.flatnonzero(folds[:count] == fold)):
            found[block] = np.square(scaling(rows[block])).mean(axis=1)
    return found


def reach_of(unheard: Array) -> np.float32:
    """The distance that most clips of strangers of the training corpus do not exceed.

    Args:
        unheard: float32, shape (n,): as of `unheard_distances`.

    Returns:
        More than 0.
    """
    return np.float32(max(float(np.quantile(unheard, QUANTILE)), 1e-6))


def heat(ratio: Any, ops: Any = np) -> Any:
    """By how much the temperature grows.

    Args:
        ratio: Distance by reach; an array of NumPy or a tensor of Keras.
        ops: The module that computes with it: `numpy` or `keras.ops`.

    Returns:
        Shape as given, from 1.
    """
    return ops.power(ops.maximum(ratio, 1.0), POWER)


def familiarity(ratio: Any, ops: Any = np) -> Any:
    """How much a recording resembles what was learnt; arguments as of `heat`.

    Returns:
        Shape as given, 0 to 1: one half at the reach.
    """
    return 1 / (1 + ops.power(ratio, STEEPNESS))
