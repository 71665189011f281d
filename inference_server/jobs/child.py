"""The process of one training job: `python -m inference_server.jobs.child`, its order as JSON on standard input.

A crash, a leak or a cancel here never touches serving. The process writes how far it is, and what came out, into
the queue; when it dies without a word, `inference_server.jobs.runner` does.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import time
from pathlib import Path
from typing import Any

from inference_server.jobs.priority import be_polite, die_with_parent
from inference_server.jobs.store import JobStore, error_record
from inference_server.jobs.weights import WEIGHTS
from ser.access import Access
from ser.archive import Limits
from ser.config import parse
from ser.errors import Code, SerError
from ser.progress import Progress
from ser.request import TrainRequest
from ser.trainer import run

_SECONDS_BETWEEN_WRITES = 0.2
_TERMINATED = 128 + signal.SIGTERM


def main() -> None:
    """Runs the job; exits with 0 once its end is in the queue."""
    order = json.load(sys.stdin)
    # As an exception, so that what is half written is removed on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    die_with_parent()
    be_polite()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    store, job_id = JobStore(Path(order["jobs"])), order["job_id"]
    access = Access(
        frozenset(order["access"]["schemes"]), order["access"]["private"], frozenset(order["access"]["hosts"])
    )
    try:
        request = parse(TrainRequest, order["request"])
        result = run(request, report=JobProgress(store, job_id), limits=Limits(**order["limits"]), access=access)
    except SerError as error:
        store.fail(job_id, error_record(error.code, str(error), error))
    except OSError as error:
        store.fail(job_id, error_record(Code.FAILED_PRECONDITION, f"the operating system refused: {error}"))
    else:
        store.succeed(job_id, result.to_json())


class JobProgress:
    """A reporter that writes into the queue, at most some times a second, and each stage's first and last moment."""

    def __init__(self, store: JobStore, job_id: str) -> None:
        self._store, self._job_id = store, job_id
        self._stage, self._stage_started, self._written = "", 0.0, 0.0
        self._before = 0.0
        self._epoch: dict[str, Any] = {}

    def __call__(self, progress: Progress) -> None:
        """Told of a moment."""
        now = time.monotonic()
        first, last = progress.stage != self._stage, progress.done == progress.total
        if first:
            self._stage, self._stage_started = progress.stage, now
            self._before = _percent_before(progress.stage)
        if not (first or last) and now - self._written < _SECONDS_BETWEEN_WRITES:
            return
        self._written = now
        self._store.tell(self._job_id, self._record(progress, now - self._stage_started))

    def _record(self, progress: Progress, seconds: float) -> dict[str, Any]:
        share = min(1.0, progress.done / progress.total) if progress.total else 0.0
        if progress.unit == "epochs":
            self._epoch = {
                "epoch": progress.done,
                "epochs": progress.total or 0,
                **{name: value for name, value in progress.values.items() if name in ("loss", "accuracy")},
            }
        left = {"seconds_left": round(seconds / share * (1 - share), 1)} if share > 0 else {}
        return {
            "stage": progress.stage,
            "done": progress.done,
            "total": progress.total or 0,
            "unit": progress.unit,
            **self._epoch,
            "percent": round(self._before + WEIGHTS.get(progress.stage, 0) * share, 1),
            **left,
        }


def _percent_before(stage: str) -> float:
    names = list(WEIGHTS)
    return sum(WEIGHTS[name] for name in names[: names.index(stage)]) if stage in WEIGHTS else 0.0


if __name__ == "__main__":
    main()
