"""Every figure of an evaluation, from ground truth and probabilities.

Validation sets are small: a class may be absent, and there may be a single sample. What is undefined then is said
to be, here and in each attribute's words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ser.evaluation.calibration import Calibration, calibration
from ser.evaluation.intervals import uar_over_groups, uar_over_recordings, wilson
from ser.evaluation.roc import RocCurve, micro_average, one_vs_rest
from ser.evaluation.scored_samples import ScoredSamples

__all__ = ["ClassRow", "Evaluation", "GroupRow", "ScoredSamples", "WrongSample", "evaluate"]

Resampled = Literal["recordings", "speakers"]
MOST_WRONG = 10
"""How many of the confidently wrong are kept."""


@dataclass(frozen=True)
class ClassRow:
    """How well one class is recognised; rates from 0 to 1."""

    label: str
    precision: float
    """Of the samples predicted as this class, the share that is; 0 if there are none, see `predicted`."""
    recall: float
    """Of this class's samples, the share predicted as such; 0 if there are none, see `support`."""
    f1: float
    """Harmonic mean of precision and recall; 0 if the class neither occurs nor is predicted."""
    support: int
    """Samples of this class."""
    predicted: int
    """Samples predicted as this class."""
    auc: float | None
    """Area under the one-vs-rest ROC curve; None unless some samples are of this class and some are not."""


@dataclass(frozen=True)
class GroupRow:
    """How well the samples of one speaker or gender are recognised; rates from 0 to 1."""

    group: str
    """The speaker, or the gender."""
    samples: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    """95 % Wilson score interval."""
    uar: float
    """Mean recall over the classes that occur in the group."""


@dataclass(frozen=True)
class WrongSample:
    """A sample that was misclassified."""

    name: str
    speaker: str
    label: str
    """The ground truth."""
    prediction: str
    probability: float
    """What the model gave its wrong prediction, from 0 to 1."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The figures of a model on samples it has not learnt from; rates from 0 to 1."""

    samples: int
    classes: tuple[str, ...]
    """In the order of the model's outputs."""
    accuracy: float
    accuracy_interval: tuple[float, float]
    """95 % Wilson score interval of the accuracy."""
    uar: float
    """Unweighted average recall: the mean recall over the classes that occur."""
    uar_interval: tuple[float, float]
    """95 % percentile bootstrap interval of the UAR."""
    uar_interval_over: Resampled
    """What the bootstrap draws anew: recordings, stratified by class, or whole speakers."""
    macro_f1: float
    """Mean F1 over the classes that occur or are predicted, as scikit-learn's macro average."""
    roc_auc: float | None
    """Mean of the classes' one-vs-rest AUCs, over those that have one; None if none has."""
    per_class: tuple[ClassRow, ...]
    """One a class, in the order of `classes`."""
    confusion: npt.NDArray[np.int64]
    """int64, shape (n_classes, n_classes), counts: rows are the truth, columns the prediction."""
    roc: tuple[RocCurve, ...]
    """One a class that has an AUC, in the order of `classes`."""
    roc_micro: RocCurve | None
    """Over all pairs of a sample and a class; None if there is a single class."""
    by_speaker: tuple[GroupRow, ...]
    """Sorted by speaker."""
    by_gender: tuple[GroupRow, ...]
    """Sorted by gender."""
    calibration: Calibration
    """How far the probabilities can be believed."""
    confidently_wrong: tuple[WrongSample, ...]
    """The misclassified whose wrong prediction was the most probable, at most 10, the worst first."""

    @property
    def chance(self) -> float:
        """UAR of guessing: one over the number of classes."""
        return 1 / len(self.classes)

    @property
    def majority(self) -> float:
        """Accuracy of always answering the most frequent class."""
        return max(row.support for row in self.per_class) / self.samples

    def to_dict(self) -> dict[str, Any]:
        """As a JSON object of finite numbers, strings, lists and nulls; with `chance` and `majority`."""
        return {**asdict(self, dict_factory=_json_object), "chance": self.chance, "majority": self.majority}


def evaluate(scored: ScoredSamples, *, resampled: Resampled = "recordings") -> Evaluation:
    """Computes every figure; the most probable class is the prediction.

    Args:
        scored: Ground truth and probabilities.
        resampled: What the UAR's interval is over; speakers, where none was heard in training.

    Returns:
        The figures.
    """
    from sklearn.metrics import precision_recall_fscore_support

    truth, predicted = scored.truth, scored.predicted
    numbers = np.arange(len(scored.classes))
    # Not confusion_matrix, which warns where there is a single class.
    confusion = np.zeros((len(numbers), len(numbers)), dtype=np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=numbers, zero_division=0.0
    )
    predictions = confusion.sum(axis=0)
    curves = one_vs_rest(scored)
    aucs = {curve.label: curve.auc for curve in curves}
    whole = _group("", truth, predicted)
    return Evaluation(
        samples=whole.samples,
        classes=scored.classes,
        accuracy=whole.accuracy,
        accuracy_interval=whole.accuracy_interval,
        uar=whole.uar,
        uar_interval=(
            uar_over_groups(truth, predicted, scored.speakers)
            if resampled == "speakers"
            else uar_over_recordings(truth, predicted)
        ),
        uar_interval_over=resampled,
        macro_f1=float(f1[(support > 0) | (predictions > 0)].mean()),
        roc_auc=float(np.mean(list(aucs.values()))) if aucs else None,
        per_class=tuple(
            ClassRow(
                label=label,
                precision=float(precision[number]),
                recall=float(recall[number]),
                f1=float(f1[number]),
                support=int(support[number]),
                predicted=int(predictions[number]),
                auc=aucs.get(label),
            )
            for number, label in enumerate(scored.classes)
        ),
        confusion=confusion,
        roc=curves,
        roc_micro=micro_average(scored),
        by_speaker=_by(scored.speakers, truth, predicted),
        by_gender=_by(scored.genders, truth, predicted),
        calibration=calibration(scored),
        confidently_wrong=_confidently_wrong(scored),
    )


def summary(group: str, scored: ScoredSamples) -> GroupRow:
    """The headline figures of some samples, under a name."""
    return _group(group, scored.truth, scored.predicted)


def _by(groups: Sequence[str], truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64]) -> tuple[GroupRow, ...]:
    members = np.array(groups)
    return tuple(_group(group, truth[members == group], predicted[members == group]) for group in sorted(set(groups)))


def _group(name: str, truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64]) -> GroupRow:
    from sklearn.metrics import recall_score

    hits = int((truth == predicted).sum())
    # Not balanced_accuracy_score, which is the same but warns when a class is predicted that does not occur.
    uar = recall_score(truth, predicted, labels=np.unique(truth), average="macro")
    return GroupRow(
        group=name,
        samples=len(truth),
        accuracy=hits / len(truth),
        accuracy_interval=wilson(hits, len(truth)),
        uar=float(uar),
    )


def _confidently_wrong(scored: ScoredSamples) -> tuple[WrongSample, ...]:
    truth, predicted = scored.truth, scored.predicted
    wrong = [
        WrongSample(
            name=scored.names[row],
            speaker=scored.speakers[row],
            label=scored.labels[row],
            prediction=scored.classes[predicted[row]],
            probability=float(scored.probabilities[row, predicted[row]]),
        )
        for row in np.flatnonzero(truth != predicted)
    ]
    return tuple(sorted(wrong, key=lambda sample: (-sample.probability, sample.name))[:MOST_WRONG])


def _json_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {key: _json_value(value) for key, value in pairs}


def _json_value(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value
