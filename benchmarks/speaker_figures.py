"""Figures of protocols that leave out speakers, by which one may choose: of whom, how sure, and who is better.

A cell is the mean over seeds, their deviation, and the 95 % interval over speakers of that mean. A paired cell is a
difference of two model types' means, of the same recordings, with its interval over the same draws of speakers.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import recall_score

from ser.evaluation.intervals import mean_uar_over_groups, uar_difference_over_groups

DEVELOPMENT_SPEAKERS = ("03", "08", "09", "10", "11")
"""Those of EmoDB's ten whom settings were looked at on; the others were first judged when all was frozen."""
_FOLD = "speaker "


@dataclass(frozen=True)
class Judged:
    """What a model type made of some speakers' recordings, by several seeds."""

    truth: npt.NDArray[np.int64]
    """int64, shape (n,)."""
    predicted: npt.NDArray[np.int64]
    """int64, shape (n_seeds, n)."""
    speakers: tuple[str, ...]
    """Who speaks, n of them."""

    @classmethod
    def of(cls, seeds: Sequence[Mapping[str, Mapping[str, Any]]], speakers: Sequence[str], clips: str) -> Judged:
        """Puts folds together.

        Args:
            seeds: Of each seed, fold to `truth` and `predicted` as `benchmarks.adaptation` keeps them.
            speakers: Names of the folds that count.
            clips: How many clips were heard first.
        """
        parts = [seeds[0][name] for name in speakers]
        return cls(
            np.concatenate([part["truth"] for part in parts]),
            np.stack([np.concatenate([seed[name]["predicted"][clips] for name in speakers]) for seed in seeds]),
            tuple(name for name, part in zip(speakers, parts, strict=True) for _ in part["truth"]),
        )

    @property
    def uars(self) -> list[float]:
        """Of each seed, in percent."""
        labels = np.unique(self.truth)
        return [100 * float(recall_score(self.truth, one, average="macro", labels=labels)) for one in self.predicted]

    @property
    def hits(self) -> npt.NDArray[np.float64]:
        """float64, shape (n,): by how many of the seeds a recording was told right, as a share."""
        share: npt.NDArray[np.float64] = (self.predicted == self.truth).mean(axis=0)
        return share

    def cell(self) -> str:
        """Mean ± deviation over seeds [95 % interval over speakers], in percent."""
        deviation = statistics.stdev(self.uars) if len(self.uars) > 1 else 0
        low, high = mean_uar_over_groups(self.truth, self.hits, self.speakers)
        return f"{statistics.mean(self.uars):.1f} ± {deviation:.1f} [{100 * low:.1f}, {100 * high:.1f}]"

    def against(self, other: Judged) -> str:
        """Difference [95 % interval over speakers], in points.

        Raises:
            ValueError: If other recordings were judged.
        """
        if not np.array_equal(self.truth, other.truth) or self.speakers != other.speakers:
            raise ValueError("expected the same recordings to be judged by both model types")
        low, high = uar_difference_over_groups(self.truth, self.hits, other.hits, self.speakers)
        difference = statistics.mean(self.uars) - statistics.mean(other.uars)
        return f"{difference:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def parts_of(names: Sequence[str]) -> dict[str, list[str]]:
    """Whom figures are of: all; and where the speakers are EmoDB's, those of development and the untouched ones apart.

    Args:
        names: Of the folds, a speaker each.
    """
    development = [_FOLD + speaker for speaker in DEVELOPMENT_SPEAKERS]
    parts = {"all": list(names)}
    if set(development) < set(names):
        parts["development"] = development
        parts["untouched"] = [name for name in names if name not in development]
    return parts
