"""Whether probabilities mean what they say, and what is gained by not answering when the model is unsure.

A model is calibrated if of the recordings that it gives 80 % it gets 80 % right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ser.evaluation.scored_samples import ScoredSamples

BINS = 15
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class ReliabilityBin:
    """The samples whose prediction has a probability in (low, high]; in the first bin, from 0."""

    low: float
    high: float
    samples: int
    confidence: float | None
    """Mean probability of the prediction; None if there are no samples."""
    accuracy: float | None
    """Share that is right; None if there are no samples."""


@dataclass(frozen=True)
class CoverageRow:
    """What is answered, and how well, if a prediction below a probability is withheld."""

    threshold: float
    """Least probability of a prediction that is given."""
    answered: float
    """Share of the samples that get an answer."""
    samples: int
    """How many those are."""
    accuracy: float | None
    """Share of the answers that is right; None if there are none."""


@dataclass(frozen=True)
class Calibration:
    """How far probabilities can be believed."""

    ece: float
    """Expected calibration error, 0 to 1: the mean over the bins of |accuracy - confidence|, weighted by their samples;
    15 bins of equal width of the prediction's probability (Guo et al., 2017)."""
    brier: float
    """Brier score, 0 to 2: the mean squared distance of the probabilities to the truth, summed over the classes
    (Brier, 1950)."""
    bins: tuple[ReliabilityBin, ...]
    """Of the expected calibration error, ascending."""
    coverage: tuple[CoverageRow, ...]
    """At thresholds of 0.5 to 0.9."""


def calibration(scored: ScoredSamples) -> Calibration:
    """Compares the probabilities with the truth."""
    probabilities = np.clip(scored.probabilities.astype(np.float64), 0.0, 1.0)
    confidence, hits = probabilities.max(axis=1), scored.predicted == scored.truth
    edges = np.linspace(0.0, 1.0, BINS + 1)
    numbers = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, BINS - 1)
    members = [numbers == number for number in range(BINS)]
    gaps = [abs(hits[inside].mean() - confidence[inside].mean()) * inside.mean() for inside in members if inside.any()]
    truth = np.eye(len(scored.classes))[scored.truth]
    return Calibration(
        ece=float(sum(gaps)),
        brier=float(np.square(probabilities - truth).sum(axis=1).mean()),
        bins=tuple(
            ReliabilityBin(float(low), float(high), int(inside.sum()), _mean(confidence[inside]), _mean(hits[inside]))
            for low, high, inside in zip(edges, edges[1:], members, strict=False)
        ),
        coverage=tuple(_coverage(threshold, confidence >= threshold, hits) for threshold in THRESHOLDS),
    )


def _coverage(threshold: float, answered: npt.NDArray[np.bool_], hits: npt.NDArray[np.bool_]) -> CoverageRow:
    return CoverageRow(threshold, float(answered.mean()), int(answered.sum()), _mean(hits[answered]))


def _mean(values: npt.NDArray[Any]) -> float | None:
    return float(values.mean()) if len(values) else None
