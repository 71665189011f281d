"""Training: SER's loop against plain `keras.Model.fit`, on the same arrays, in one run.

    python -m benchmarks.training_speed --corpus emodb.zip

Both train the same network with the same optimiser, batch size and epochs, evaluate the validation rows after
every epoch, and pay for tracing their graph; importing TensorFlow, and a first epoch of another model, are
outside. They take turns, each in a fresh process: SER makes TensorFlow's operations deterministic, which would
slow `fit` down. The ratio is of each pair. The last epoch's validation accuracy (of pieces) shows that both learn
the same.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from ser.config import parse
from ser.dataset import Dataset
from ser.evaluation.split import validation_names
from ser.features.standardiser import Standardiser
from ser.models import MODEL_TYPES, NetworkType
from ser.networks.epoch_weights import EpochWeights
from ser.networks.training_loop import fit
from ser.progress import silent
from ser.steps.feature_extraction import load_features


@dataclass(frozen=True)
class Arrays:
    """One split of a corpus, standardised."""

    rows: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    validation_rows: npt.NDArray[np.float32]
    validation_labels: npt.NDArray[np.int64]
    num_classes: int


def main() -> None:
    """Prints a row for each number of epochs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="embedded:", help="zip, URL or embedded:")
    parser.add_argument("--model-type", default="KerasDropoutClassifier")
    parser.add_argument("--epochs", nargs="+", type=int, default=[1, 20, 100])
    parser.add_argument("--rounds", type=int, default=3, help="pairs of trainings, each with a seed of its own")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        which, features, seed = arguments.child
        run = _timed(which, _load(Path(features)), arguments.model_type, arguments.epochs[0], int(seed))
        sys.stdout.write(json.dumps(run))
        return
    with tempfile.TemporaryDirectory() as folder:
        features = Dataset(folder, arguments.corpus).feature_extract()
        shape = _load(features).rows.shape
        title = f"{arguments.model_type}, {shape[0]} rows of {shape[1]} features, {arguments.rounds} rounds"
        table = Table(
            "epochs", "SER (s)", "Model.fit (s)", "times as fast", "accuracy", "Model.fit's", title=title, box=None
        )
        for epochs in arguments.epochs:
            ours: list[tuple[float, float]] = []
            plain: list[tuple[float, float]] = []
            for seed in range(arguments.rounds):
                for which, runs in (("ser", ours), ("fit", plain)):
                    runs.append(_in_child(which, features, arguments.model_type, epochs, seed))
            table.add_row(str(epochs), *_row(ours, plain))
    Console().print(table)


def _row(ours: list[tuple[float, float]], plain: list[tuple[float, float]]) -> tuple[str, ...]:
    ratios = [slow[0] / fast[0] for slow, fast in zip(plain, ours, strict=True)]
    return (
        f"{statistics.median(run[0] for run in ours):.2f}",
        f"{statistics.median(run[0] for run in plain):.2f}",
        f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})",
        f"{statistics.mean(run[1] for run in ours):.3f}",
        f"{statistics.mean(run[1] for run in plain):.3f}",
    )


def _in_child(which: str, features: Path, model_type: str, epochs: int, seed: int) -> tuple[float, float]:
    command = [sys.executable, "-m", "benchmarks.training_speed", "--child", which, str(features), str(seed)]
    command += ["--model-type", model_type, "--epochs", str(epochs)]
    seconds, accuracy = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return seconds, accuracy


def _load(folder: Path) -> Arrays:
    features = load_features(folder)
    held_out = validation_names(features.samples, 42)
    training = features.select({sample.name for sample in features.samples} - set(held_out))
    validation = features.select(held_out)
    standardise = Standardiser.fit(training.rows)
    return Arrays(
        standardise(training.rows),
        training.labels(features.classes),
        standardise(validation.rows),
        validation.labels(features.classes),
        len(features.classes),
    )


def _timed(which: str, arrays: Arrays, model_type: str, epochs: int, seed: int) -> tuple[float, float]:
    """Seconds, and the last epoch's validation accuracy."""
    train = _ours if which == "ser" else _plain
    train(arrays, model_type, 1, seed)  # what TensorFlow does once a process
    started = time.perf_counter()
    accuracy = train(arrays, model_type, epochs, seed)
    return time.perf_counter() - started, accuracy


def _network(model_type: str) -> NetworkType[Any]:
    network = MODEL_TYPES.get(model_type)()
    if not isinstance(network, NetworkType):
        raise TypeError(f"expected a model type that is trained by epochs, got {model_type}")
    return network


def _config(model_type: str, epochs: int) -> Any:
    return parse(_network(model_type).Config, {"epochs": epochs})


def _ours(arrays: Arrays, model_type: str, epochs: int, seed: int) -> float:
    config = _config(model_type, epochs)
    kept = EpochWeights()
    fit(
        lambda: _network(model_type).build(arrays.rows.shape[1], arrays.num_classes, config),
        arrays.rows,
        arrays.labels,
        config=config,
        seed=seed,
        report=silent,
        watch=kept,
    )
    return kept.judge(arrays.validation_rows, arrays.validation_labels)["val_accuracy"][-1]


def _plain(arrays: Arrays, model_type: str, epochs: int, seed: int) -> float:
    import keras

    config = _config(model_type, epochs)
    keras.utils.set_random_seed(seed)
    model = _network(model_type).build(arrays.rows.shape[1], arrays.num_classes, config)
    model.compile(
        optimizer=keras.optimizers.Adam(config.lr), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    history = model.fit(
        arrays.rows,
        arrays.labels,
        batch_size=config.batch_size,
        epochs=epochs,
        validation_data=(arrays.validation_rows, arrays.validation_labels),
        verbose=0,
    )
    return float(history.history["val_accuracy"][-1])


if __name__ == "__main__":
    main()
