"""The prediction in the process, as a worker makes it, without a server around it: milliseconds of each, as JSON.

Run as a file, so that the code of any checkout can be measured: in_process.py MODELS MODEL_ID CLIP SECONDS
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from ser.parallel import keep_freed_memory
from ser.predictor import Predictor

_KEPT_BYTES = 32 << 20
"""As a worker keeps."""


def main() -> None:
    """Predicts the same bytes again and again: decoding, features, the network."""
    keep_freed_memory(_KEPT_BYTES)
    models, model_id, clip, seconds = sys.argv[1:]
    predictor, data = Predictor(models, model_id), Path(clip).read_bytes()
    for _ in range(200):
        answer = predictor.predict(data)
    times, end = [], time.perf_counter() + float(seconds)
    while time.perf_counter() < end:
        started = time.perf_counter()
        predictor.predict(data)
        times.append(1e3 * (time.perf_counter() - started))
    json.dump({"milliseconds": times, "probabilities": answer.probabilities}, sys.stdout)


if __name__ == "__main__":
    main()
