"""95 % intervals: how far a figure would move if other recordings, or other speakers, had been judged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000
SEED = 0
"""Of the resampling: the same figures have the same interval."""


def wilson(hits: int, samples: int) -> tuple[float, float]:
    """The Wilson score interval of a share (Wilson, 1927)."""
    from scipy.stats import binomtest

    interval = binomtest(hits, samples).proportion_ci(confidence_level=0.95, method="wilson")
    return float(interval.low), float(interval.high)


def uar_over_recordings(truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64]) -> tuple[float, float]:
    """The UAR's percentile bootstrap interval over recordings, stratified by class (Efron, 1979).

    Drawing a class's recordings anew, with replacement, and counting the hits is one binomial draw.

    Args:
        truth: int64, shape (n,).
        predicted: int64, shape (n,).
    """
    classes, counts = np.unique(truth, return_counts=True)
    recalls = np.array([(predicted[truth == one] == one).mean() for one in classes])
    hits = np.random.default_rng(SEED).binomial(counts, recalls, size=(RESAMPLES, len(classes)))
    return _percentiles((hits / counts).mean(axis=1))


def uar_over_groups(
    truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], groups: Sequence[str]
) -> tuple[float, float]:
    """The UAR's percentile bootstrap interval over groups, as speakers: whole groups are drawn anew.

    Recordings of one speaker are alike, so where the question is a new speaker, speakers are what was sampled. In a
    draw that lacks a class the UAR is over those that it has.

    Args:
        truth: int64, shape (n,).
        predicted: int64, shape (n,).
        groups: Of each recording.
    """
    return mean_uar_over_groups(truth, (truth == predicted).astype(np.float64), groups)


def uar_difference_over_groups(
    truth: npt.NDArray[np.int64],
    hits: npt.NDArray[np.float64],
    other_hits: npt.NDArray[np.float64],
    groups: Sequence[str],
) -> tuple[float, float]:
    """As `uar_over_groups`, of the difference of two UARs of the same recordings: both are of the same draws.

    Args:
        truth: int64, shape (n,).
        hits: float64, shape (n,): whether a recording was told right, or how often, from 0 to 1.
        other_hits: The same of what is subtracted.
        groups: Of each recording.
    """
    return _percentiles(_resampled(truth, hits, groups) - _resampled(truth, other_hits, groups))


def mean_uar_over_groups(
    truth: npt.NDArray[np.int64], hits: npt.NDArray[np.float64], groups: Sequence[str]
) -> tuple[float, float]:
    """As `uar_over_groups`, of the mean UAR of several models of the same recordings.

    Args:
        truth: int64, shape (n,).
        hits: float64, shape (n,): how many of the models told a recording right, as a share.
        groups: Of each recording.
    """
    return _percentiles(_resampled(truth, hits, groups))


def _resampled(
    truth: npt.NDArray[np.int64], right: npt.NDArray[np.float64], groups: Sequence[str]
) -> npt.NDArray[np.float64]:
    """The UAR of each draw, float64, shape (RESAMPLES,); the same groups have the same draws."""
    names, group = np.unique(np.array(groups), return_inverse=True)
    classes, label = np.unique(truth, return_inverse=True)
    counts, hits = np.zeros((2, len(names), len(classes)))
    np.add.at(counts, (group, label), 1)
    np.add.at(hits, (group, label), right)
    share = np.full(len(names), 1 / len(names))
    drawn = np.random.default_rng(SEED).multinomial(len(names), share, size=RESAMPLES)
    of_class = drawn @ counts
    recalls = np.divide(drawn @ hits, of_class, out=np.zeros(of_class.shape), where=of_class > 0)
    uars: npt.NDArray[np.float64] = recalls.sum(axis=1) / (of_class > 0).sum(axis=1)
    return uars


def _percentiles(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)
