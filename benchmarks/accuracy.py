"""Accuracy of the default model types, and what a split by pieces would have claimed.

    python -m benchmarks.accuracy --corpus emodb.zip

Files: the split of `ser.evaluation.split`, a tenth of the files of each emotion held out, all pieces of a file on one
side; figures are of files, a file's probabilities being the mean of its pieces'. Pieces: a tenth of the
*pieces* held out at random, so that most held-out pieces have a sister from the same recording in training;
figures are of pieces, as tutorials report them. For comparison there are also the pieces of the split by files.
Speakers are on both sides in either. Sums of another processor differ in their last digit, and figures with them: both
are printed. Nothing is chosen on what is held out: default settings, last epoch.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from benchmarks.machine import processor, tensorflow
from ser.config import parse
from ser.dataset import Dataset
from ser.evaluation.split import Protocol, folds
from ser.features.feature_set import FeatureSet
from ser.features.frontend import FrontEnd
from ser.features.training_set import TrainingSet
from ser.progress import silent
from ser.request import TrainingConfig
from ser.steps.feature_extraction import load_features, load_frontend
from ser.steps.fitting import fit_on

MODEL_TYPES_SHOWN = ("KerasClassifier", "KerasDropoutClassifier")


def main() -> None:
    """Prints mean and deviation over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="embedded:", help="zip, URL or embedded:")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    arguments = parser.parse_args()
    table = Table(
        "model type", "split by", "judged by", "accuracy %", "UAR %", title=f"seeds {arguments.seeds}", box=None
    )
    with tempfile.TemporaryDirectory() as folder:
        extracted = Dataset(Path(folder), arguments.corpus).feature_extract()
        features, frontend = load_features(extracted), load_frontend(extracted)
        by_piece = _as_single_pieces(features)
        for model_type in MODEL_TYPES_SHOWN:
            honest = [_train(features, frontend, model_type, seed) for seed in arguments.seeds]
            leaky = [_train(by_piece, frontend, model_type, seed) for seed in arguments.seeds]
            table.add_row(model_type, "files", "files", *_row([run[0] for run in honest]))
            table.add_row(model_type, "files", "pieces", *_row([run[1] for run in honest]))
            table.add_row(model_type, "pieces", "pieces", *_row([run[1] for run in leaky]))
    Console().print(table)
    Console().print(f"{tensorflow()} on {processor()}")


def _as_single_pieces(features: FeatureSet) -> FeatureSet:
    """The same rows, every piece a sample of its own: what a split by pieces sees."""
    samples = tuple(
        replace(sample, name=f"{sample.name}#{number}", pieces=1)
        for sample in features.samples
        for number in range(sample.pieces)
    )
    return FeatureSet(features.rows, samples)


Figures = tuple[float, float]


def _train(features: FeatureSet, frontend: FrontEnd, model_type: str, seed: int) -> tuple[Figures, Figures]:
    """(accuracy, UAR) of the held-out samples, and of their pieces."""
    config = parse(TrainingConfig, {"model_type": model_type, "random_state": seed})
    (fold,) = folds(features.samples, Protocol.HOLDOUT, random_state=seed)
    validation, classes = features.select(fold.test), features.classes
    per_piece = fit_on(TrainingSet.of(features, fold.training, frontend), config, silent).predict_set(validation)
    truth = [classes.index(sample.emotion) for sample in validation.samples]
    return (
        _figures(truth, validation.average(per_piece).argmax(axis=1)),
        _figures(validation.labels(classes), per_piece.argmax(axis=1)),
    )


def _figures(truth: Sequence[int] | np.ndarray[tuple[int, ...], np.dtype[np.int64]], predicted: object) -> Figures:
    return accuracy_score(truth, predicted), balanced_accuracy_score(truth, predicted)


def _row(figures: Sequence[Figures]) -> list[str]:
    return [
        f"{100 * statistics.mean(values):.1f} ± {100 * statistics.stdev(values) if len(values) > 1 else 0:.1f}"
        for values in zip(*figures, strict=True)
    ]


if __name__ == "__main__":
    main()
