"""Receiver operating characteristics: curves whose every number is finite."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ser.evaluation.scored_samples import ScoredSamples


@dataclass(frozen=True, eq=False)
class RocCurve:
    """How many right alarms a class gets for how many false ones, as the threshold falls.

    Attributes:
        label: The class that is told from the rest.
        fpr: float64, shape (n_points,), from 0 to 1: false positive rate.
        tpr: float64, shape (n_points,), from 0 to 1: true positive rate.
        thresholds: float64, shape (n_points,), falling: what the probability must reach. The first is above
            every probability, so that nothing reaches it.
        auc: Area under the curve, from 0 to 1; 0.5 is chance.
    """

    label: str
    fpr: npt.NDArray[np.float64]
    tpr: npt.NDArray[np.float64]
    thresholds: npt.NDArray[np.float64]
    auc: float


def one_vs_rest(scored: ScoredSamples) -> tuple[RocCurve, ...]:
    """The curve of each class that some samples have and some have not; the others have none."""
    curves = (
        _curve(label, scored.truth == number, scored.probabilities[:, number])
        for number, label in enumerate(scored.classes)
    )
    return tuple(curve for curve in curves if curve is not None)


def micro_average(scored: ScoredSamples) -> RocCurve | None:
    """The curve over all pairs of a sample and a class; None if there is a single class."""
    hits = scored.truth[:, np.newaxis] == np.arange(len(scored.classes))
    return _curve("micro-average", hits.ravel(), scored.probabilities.ravel())


def _curve(label: str, positive: npt.NDArray[np.bool_], score: npt.NDArray[np.float32]) -> RocCurve | None:
    from sklearn.metrics import auc, roc_curve

    if positive.all() or not positive.any():
        return None
    fpr, tpr, thresholds = roc_curve(positive, score.astype(np.float64))
    # scikit-learn begins with infinity, which neither JSON nor KFP's ROC artifact takes; one above the highest
    # score means the same, and is what scikit-learn itself put there before 1.2.
    thresholds[0] = thresholds[1] + 1
    return RocCurve(label, fpr, tpr, thresholds, float(auc(fpr, tpr)))
