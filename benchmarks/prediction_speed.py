"""How long a model takes to predict a recording of 3 seconds, features included, on one core.

OMP_NUM_THREADS=1 python -m benchmarks.prediction_speed models EnsembleClassifier-0123456789ab
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from ser.acoustics import describe
from ser.audio.recordings import SAMPLE_RATE_HZ
from ser.features import About
from ser.parallel import keep_freed_memory
from ser.predictor import Predictor
from ser_inference_server.worker import KEPT_BYTES

SECONDS = 3
TIMES = 100


def main() -> None:
    """Prints the least and the median of 100 times, in milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_save_path")
    parser.add_argument("model_id")
    arguments = parser.parse_args()
    keep_freed_memory(KEPT_BYTES)  # as a server's worker does
    predictor = Predictor(arguments.model_save_path, arguments.model_id)
    samples = _voice()
    rows = predictor.bundle.frontend.transform(samples, About())
    for name, work in {
        "prediction": lambda: predictor.predict_samples(samples, about=About(), name="voice"),
        "of which descriptors": lambda: describe(samples),
        "of which the network": lambda: predictor.bundle.predict(rows),
    }.items():
        least, median = _timed(work)
        print(f"{name:22} least {least:6.2f} ms, median {median:6.2f} ms")


def _voice() -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Harmonics of a pitch that wanders, interrupted by pauses, and some noise."""
    random = np.random.default_rng(0)
    time_axis = np.arange(SECONDS * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    phase = 2 * np.pi * np.cumsum(150 + 40 * np.sin(5 * time_axis)) / SAMPLE_RATE_HZ
    tone = sum((np.sin(number * phase) / number for number in range(1, 20)), np.zeros_like(time_axis))
    speaking = np.sin(2 * np.pi * 2 * time_axis) > -0.5
    return (tone * speaking * 0.2 + 0.002 * random.standard_normal(len(tone))).astype(np.float32)


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    work()
    taken = []
    for _ in range(TIMES):
        started = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - started))
    return min(taken), statistics.median(taken)


if __name__ == "__main__":
    main()
