"""The figures of a cross-validation: of each fold, of each seed, and their spread over seeds."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ser.evaluation.metrics import Evaluation, GroupRow, Resampled, evaluate, summary
from ser.evaluation.scored_samples import ScoredSamples

Folds = Mapping[str, ScoredSamples]
"""Name of a fold to what its model made of its recordings."""


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation of some figures."""

    mean: float
    deviation: float | None
    """With n - 1 in the denominator; None of a single figure."""

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one figure."""
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


@dataclass(frozen=True)
class SeedRow:
    """The figures of one seed; rates from 0 to 1, but for the Brier score."""

    seed: int
    uar: float
    """Of all recordings together, each judged by the model that has not heard it."""
    accuracy: float
    macro_f1: float
    ece: float
    brier: float
    fold_uar: Spread
    """Over the folds; a fold's UAR is the mean recall over the classes that occur in it."""
    folds: tuple[GroupRow, ...]


@dataclass(frozen=True, eq=False)
class CrossValidated:
    """All figures of a cross-validation."""

    pooled: Evaluation
    """Of the first seed, over all folds."""
    seeds: tuple[SeedRow, ...]

    @property
    def over_seeds(self) -> dict[str, Spread]:
        """Mean and deviation over the seeds of each pooled figure, and of the mean of the folds' UARs."""
        names = ("uar", "accuracy", "macro_f1", "ece", "brier")
        spreads = {name: Spread.of([getattr(row, name) for row in self.seeds]) for name in names}
        return {**spreads, "fold_uar": Spread.of([row.fold_uar.mean for row in self.seeds])}

    def to_dict(self) -> dict[str, Any]:
        """As a JSON object: `pooled`, with the figures of folds and seeds beside them."""
        return {
            **self.pooled.to_dict(),
            "by_fold": [asdict(row) for row in self.seeds[0].folds],
            "fold_uar": asdict(self.seeds[0].fold_uar),
            "by_seed": [asdict(row) for row in self.seeds],
            "over_seeds": {name: asdict(spread) for name, spread in self.over_seeds.items()},
        }


def evaluate_folds(by_seed: Mapping[int, Folds], *, resampled: Resampled) -> CrossValidated:
    """Computes every figure.

    Args:
        by_seed: The folds of each seed.
        resampled: What the UAR's interval is over.
    """
    pooled = {
        seed: evaluate(ScoredSamples.concatenate(list(folds.values())), resampled=resampled)
        for seed, folds in by_seed.items()
    }
    rows = tuple(_row(seed, pooled[seed], folds) for seed, folds in by_seed.items())
    return CrossValidated(pooled[rows[0].seed], rows)


def write_predictions(path: Path, by_seed: Mapping[int, Folds]) -> None:
    """Writes a CSV with a row for each seed and recording: what it is, and what the model made of it."""
    classes = next(iter(next(iter(by_seed.values())).values())).classes
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        probabilities = [f"probability_{label}" for label in classes]
        table.writerow(["fold", "seed", "name", "speaker", "truth", "prediction", *probabilities])
        for seed, folds in by_seed.items():
            for fold, scored in folds.items():
                for number, predicted in enumerate(scored.predicted):
                    row = (scored.names[number], scored.speakers[number], scored.labels[number], classes[predicted])
                    figures = (f"{probability:.6f}" for probability in scored.probabilities[number])
                    table.writerow([fold, seed, *row, *figures])


def _row(seed: int, pooled: Evaluation, folds: Folds) -> SeedRow:
    rows = tuple(summary(name, scored) for name, scored in folds.items())
    return SeedRow(
        seed=seed,
        uar=pooled.uar,
        accuracy=pooled.accuracy,
        macro_f1=pooled.macro_f1,
        ece=pooled.calibration.ece,
        brier=pooled.calibration.brier,
        fold_uar=Spread.of([row.uar for row in rows]),
        folds=rows,
    )
