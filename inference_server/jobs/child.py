"""The process of one training job, its order as JSON on standard input.

A crash, a leak or a cancel here never touches serving. The process writes how far it is, and what came out, into
the queue; when it dies without a word, `ser_inference_server.jobs.runner` does.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ser.config import parse
from ser.errors import Code, SerError
from ser.processes import be_polite
from ser.progress import Progress
from ser.request import TrainRequest
from ser.storage.access import Access
from ser.storage.archive import Limits
from ser.trainer import run
from ser_inference_server import logs
from ser_inference_server.backoff import Backoff
from ser_inference_server.jobs.errors import QueueError
from ser_inference_server.jobs.store import JobStore, error_record
from ser_inference_server.jobs.weights import WEIGHTS

_SECONDS_BETWEEN_WRITES = 0.2
_TERMINATED = 128 + signal.SIGTERM


def main() -> None:
    """Runs the job; exits with 0 once its end is in the queue."""
    order = json.load(sys.stdin)
    # As an exception, so that what is half written is removed on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    be_polite()
    logs.configure(**order["log"])
    with logs.native_lines():
        _run(order)


def _run(order: Mapping[str, Any]) -> None:
    outbox, job_id = Outbox(Path(order["jobs"])), order["job_id"]
    access = Access(
        frozenset(order["access"]["schemes"]), order["access"]["private"], frozenset(order["access"]["hosts"])
    )
    try:
        request = parse(TrainRequest, order["request"])
        result = run(request, report=JobProgress(outbox, job_id), limits=Limits(**order["limits"]), access=access)
    except SerError as error:
        failure = error_record(error.code, str(error), error)
    except OSError as error:
        failure = error_record(Code.FAILED_PRECONDITION, _words(error, order["request"]))
    else:
        outbox.insist(lambda store: store.succeed(job_id, result.to_dict()))
        return
    outbox.insist(lambda store: store.fail(job_id, failure))


class Outbox:
    """The queue, from where a job runs: how far it is may get lost, what came out may not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._store: JobStore | None = None
        self._trouble = Backoff("the job cannot write into the queue", first=1.0, longest=5.0)

    def tell(self, what: Callable[[JobStore], None]) -> None:
        """Writes something, unless the queue could not be written just now."""
        if not self._trouble.is_due:
            return
        try:
            if self._store is None:
                self._store = JobStore(self._path)
            what(self._store)
        except QueueError as error:
            self._trouble.failed(str(error))
        else:
            self._trouble.worked()

    def insist(self, what: Callable[[JobStore], None]) -> None:
        """Writes something, however long that takes: who started the job ends it when it is too long."""
        written = False

        def write(store: JobStore) -> None:
            nonlocal written
            what(store)
            written = True

        while not written:
            self.tell(write)
            if not written:
                time.sleep(_SECONDS_BETWEEN_WRITES)


class JobProgress:
    """A reporter that writes into the queue, at most some times a second, and each stage's first and last moment."""

    def __init__(self, outbox: Outbox, job_id: str) -> None:
        self._outbox, self._job_id = outbox, job_id
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
        record = self._record(progress, now - self._stage_started)
        self._outbox.tell(lambda store: store.tell(self._job_id, record))

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


def _words(error: OSError, request: Mapping[str, Any]) -> str:
    """What the operating system refused, and where: an error of a write does not know its file."""
    places = f"{request['data_path']}, {request['model_save_path']} or {tempfile.gettempdir()}"
    where = "" if error.filename else f" (in {places})"
    return f"the operating system refused: {error}{where}"


def _percent_before(stage: str) -> float:
    names = list(WEIGHTS)
    return sum(WEIGHTS[name] for name in names[: names.index(stage)]) if stage in WEIGHTS else 0.0
