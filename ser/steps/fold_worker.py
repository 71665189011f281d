"""Folds in processes of their own, each on one core: `train_folds` hands them out, this module run is such a process.

Networks of this size gain nothing from a second thread, and lose to it: threads of one fold wait for each other, folds
in several processes do not. One thread a process also means that the figures do not depend on how many there are.
Parent and child speak JSON, a line a message: a job, then "done" or what was wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from ser.config import parse
from ser.errors import SerError, TrainingError
from ser.processes import child_command
from ser.request import CrossValidationConfig
from ser.steps.cross_validation import train_fold

_ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
    ),
    "1",
)


@dataclass(frozen=True)
class FoldJob:
    """One fold to train."""

    features: Path
    scores: Path
    """The folder to make."""
    config: CrossValidationConfig
    fold: str
    force: bool

    def to_json(self) -> str:
        """One line."""
        # A whole request is a config too, of which a fold follows this part.
        config = self.config.model_dump(mode="json", by_alias=True, include=set(CrossValidationConfig.model_fields))
        return json.dumps([str(self.features), str(self.scores), config, self.fold, self.force])

    @classmethod
    def from_json(cls, line: str) -> FoldJob:
        """What `to_json` gave."""
        features, scores, config, fold, force = json.loads(line)
        return cls(Path(features), Path(scores), parse(CrossValidationConfig, config), fold, force)


def train_folds(jobs: Sequence[FoldJob], workers: int) -> Iterator[FoldJob]:
    """Trains folds in processes; yields each when it is done, in whatever order that happens.

    Args:
        jobs: The folds; each folder is made as `train_fold` makes it.
        workers: How many processes, of one thread each.

    Raises:
        TrainingError: If one fails; no other is begun then, and those under way are ended.
    """
    with contextlib.ExitStack() as stack:
        idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for _ in range(min(workers, len(jobs))):
            idle.put(stack.enter_context(_Worker()))

        def train(job: FoldJob) -> FoldJob:
            worker = idle.get()
            try:
                worker.train(job)
            finally:
                idle.put(worker)
            return job

        pool = ThreadPoolExecutor(max(1, min(workers, len(jobs))))
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        for future in as_completed([pool.submit(train, job) for job in jobs]):
            yield future.result()


class _Worker:
    """A process that trains one fold after another. It ends with its parent, in the middle of a fold too."""

    def __enter__(self) -> _Worker:
        self._process = subprocess.Popen(  # noqa: S603 - ours
            child_command("ser.steps.fold_worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **_ONE_THREAD},
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()

    def train(self, job: FoldJob) -> None:
        """Has a fold trained.

        Raises:
            TrainingError: If it failed, or the process ended.
        """
        jobs, answers, answer = self._process.stdin, self._process.stdout, ""
        if jobs and answers:
            with contextlib.suppress(BrokenPipeError):
                jobs.write(job.to_json() + "\n")
                jobs.flush()
                answer = answers.readline()
        whole = answer.endswith("\n")
        wrong = json.loads(answer)["error"] if whole else "the process that trained it ended before it was done"
        if wrong is not None:
            raise TrainingError(f"{job.fold}, seed {job.config.random_state}: {wrong}")


def main() -> None:
    """Trains what comes, until no more comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted too, and ends this process
    # Answers go where the parent reads; whatever else a library prints must not.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        job, wrong = FoldJob.from_json(line), None
        try:
            train_fold(job.features, job.scores, job.config, job.fold, force=job.force)
        except (SerError, OSError) as error:
            wrong = str(error)
        answers.write(json.dumps({"error": wrong}) + "\n")
        answers.flush()
