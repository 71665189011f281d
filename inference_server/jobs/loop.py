"""Runs the jobs of a queue until it is told to stop, whatever disk, locks and system do meanwhile."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import filelock

from ser.errors import SerError
from ser_inference_server.backoff import Backoff
from ser_inference_server.jobs.errors import QueueError
from ser_inference_server.jobs.runner import JobRunner
from ser_inference_server.jobs.store import JobStore
from ser_inference_server.settings import Settings

_TICK_SECONDS = 0.1
_SECONDS_TO_LOOK = 3.0
_SECONDS_BEYOND = 5.0
"""A lock on the queue, and a process that is being killed, may take so long beyond what `stop` is given."""
logger = logging.getLogger("ser.jobs")


class QueueTakenError(Exception):
    """Another server or trainer runs the jobs of this queue."""


class JobLoop:
    """The jobs of one queue, run in a thread by this process and no other."""

    def __init__(self, settings: Settings) -> None:
        """Takes the queue if the disk lets it; else the thread does as soon as it can.

        Raises:
            QueueTakenError: If another process runs its jobs.
            NewerQueueError: If a later version of SER wrote it.
        """
        self._settings = settings
        self._lock = filelock.FileLock(_lock_of(settings.jobs_path), timeout=0, thread_local=False)
        self._runner: JobRunner | None = None
        self._trouble = Backoff("training jobs wait", first=0.2, longest=5.0)
        self._stop = threading.Event()
        self._looked = threading.Event()
        self._seconds_to_stop = 0.0
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
        try:
            self._take()
            JobStore(settings.jobs_path).close()
        except QueueError as error:
            self._trouble.failed(str(error))
        except OSError as error:
            self._trouble.failed(_words(error, settings.jobs_path.parent))

    def start(self) -> None:
        """Starts the thread, and has it look at the queue once, unless that takes long.

        What ran when the last server died is no longer said to run then. The thread lives until `stop`: the kernel ends
        the processes of jobs with the thread that started them.
        """
        self._thread.start()
        self._looked.wait(_SECONDS_TO_LOOK)

    def stop(self, seconds: float) -> None:
        """Ends the jobs under way, which go back into the queue, within so many seconds and a moment."""
        self._seconds_to_stop = seconds
        self._stop.set()
        self._thread.join(seconds + _SECONDS_BEYOND)
        if self._thread.is_alive():
            logger.error("the running of jobs does not end in time, it is left")

    def _run(self) -> None:
        while True:
            if self._trouble.is_due:
                self._attempt()
            self._looked.set()
            if self._stop.wait(_TICK_SECONDS):
                break
        try:
            if self._runner is not None:
                self._runner.stop(self._seconds_to_stop)
        finally:
            self._lock.release()

    def _attempt(self) -> None:
        try:
            self._take()
            if self._runner is None:
                self._runner = JobRunner(self._settings)
            self._runner.tick()
        except (SerError, QueueTakenError) as error:
            self._trouble.failed(str(error))
        except OSError as error:
            self._trouble.failed(_words(error, self._settings.jobs_path.parent))
        except Exception as error:
            # A defect. The jobs under way must be seen to their ends, and serving goes on.
            logger.exception("defect in the running of jobs")
            self._trouble.failed(repr(error))
        else:
            self._trouble.worked()

    def _take(self) -> None:
        if self._lock.is_locked:
            return
        path = self._settings.jobs_path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise QueueTakenError(
                f"another ser-server or ser-trainer runs the jobs of the queue {path}: give this one a SER_STATE_ROOT "
                "of its own, or SER_TRAINING_SLOTS=0 to leave the jobs to the other"
            ) from None


def _lock_of(queue: Path) -> Path:
    return queue.parent / f".{queue.name}.lock"


def _words(error: OSError, folder: Path) -> str:
    return f"{error.filename or folder}: {error.strerror or error}"
