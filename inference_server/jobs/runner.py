"""Takes the jobs of the queue, some at once, and sees them to their ends. One a queue."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from ser.errors import Code, SerError
from ser_inference_server.backoff import Backoff
from ser_inference_server.jobs.backend import Run, create_backend
from ser_inference_server.jobs.errors import QueueError
from ser_inference_server.jobs.store import Job, JobStore, State, error_record
from ser_inference_server.settings import Settings

_SECONDS_TO_END = 5.0
_SECONDS_BETWEEN_TRIES = 0.1
_SECONDS_BETWEEN_CLEARINGS = 3_600.0
_SECONDS_OF_A_DAY = 86_400.0
logger = logging.getLogger("ser.jobs")


@dataclass
class _Running:
    job: Job
    run: Run
    deadline: float
    kill_at: float | None = None


class JobRunner:
    """Starts, watches and ends jobs.

    Each method does what is due and returns at once. It may raise a `QueueError` anywhere; called again, it goes on
    where it was.
    """

    def __init__(self, settings: Settings) -> None:
        """Opens the queue.

        Raises:
            SerError: If it cannot be opened.
        """
        self._settings = settings
        self._store = JobStore(settings.jobs_path)
        try:
            self._backend = create_backend(settings, self._store)
        except BaseException:
            self._store.close()
            raise
        self._running: list[_Running] = []
        self._not_started: list[Job] = []
        """Jobs that the queue has as running, and that the operating system refused a process."""
        self._found = False
        self._clear_at = 0.0
        self._starting = Backoff("training jobs cannot be started, they wait", first=1.0, longest=30.0)

    def tick(self) -> None:
        """Takes note of jobs that have ended, ends those that must, starts those that may."""
        self._find()
        self._put_back()
        for running in list(self._running):
            if running.run.is_over():
                self._log_end(running.job.job_id)
                self._running.remove(running)
            else:
                self._end_if_due(running)
        free = self._settings.training_slots - len(self._running)
        if free > 0 and self._starting.is_due:
            for job in self._store.in_state(State.QUEUED)[:free]:
                self._start(job)
        self._clear()

    def stop(self, seconds: float) -> None:
        """Ends the jobs that end with the server; they go back into the queue, for the next one to start anew."""
        give_up = time.monotonic() + seconds
        ended = [running.job for running in self._running if running.run.leave(give_up - time.monotonic())]
        for job in self._not_started + ended:
            self._return(job.job_id, give_up)
        self._store.close()

    def _find(self) -> None:
        """Takes up again what ran when the last server ended, or fails it; what waited waits on."""
        if self._found:
            return
        known = {running.job.job_id for running in self._running}
        for job in self._store.in_state(State.RUNNING):
            if job.job_id in known:
                continue
            run = self._backend.find(job)
            if run is not None:
                self._running.append(_Running(job, run, self._deadline()))
                continue
            reason = "the server died while the job ran; start it again"
            self._store.fail(job.job_id, error_record(Code.UNAVAILABLE, reason))
            logger.warning("job failed: the last server died while it ran", extra={"job_id": job.job_id})
        self._found = True

    def _start(self, job: Job) -> None:
        if not self._store.start(job.job_id):  # it was cancelled
            return
        try:
            run = self._backend.start(job)
        except OSError as error:
            self._not_started.append(job)
            self._starting.failed(str(error))
            self._put_back()
            return
        except SerError as error:
            self._store.fail(job.job_id, error_record(error.code, str(error), error))
            self._log_end(job.job_id)
            return
        self._starting.worked()
        self._running.append(_Running(job, run, self._deadline()))
        logger.info("job started", extra={"job_id": job.job_id})

    def _return(self, job_id: str, give_up: float) -> None:
        while True:
            try:
                if self._store.requeue(job_id):
                    logger.info("job goes back into the queue", extra={"job_id": job_id})
                else:
                    self._log_end(job_id)
            except QueueError as error:
                if time.monotonic() < give_up:
                    time.sleep(_SECONDS_BETWEEN_TRIES)
                    continue
                logger.error("job cannot go back into the queue, the next server fails it: %s", error)
            return

    def _put_back(self) -> None:
        while self._not_started:
            self._store.requeue(self._not_started[0].job_id)
            self._not_started.pop(0)

    def _end_if_due(self, running: _Running) -> None:
        now, job_id = time.monotonic(), running.job.job_id
        if running.kill_at is None:
            if self._store.get(job_id).cancel:
                running.run.end()
                running.kill_at = now + _SECONDS_TO_END
            elif now > running.deadline:
                limit = self._settings.max_training_seconds
                reason = f"expected an end within {limit:g} s (SER_MAX_TRAINING_SECONDS)"
                self._store.fail(job_id, error_record(Code.DEADLINE_EXCEEDED, reason))
                running.run.end()
                running.kill_at = now + _SECONDS_TO_END
        elif now > running.kill_at:
            running.run.kill()

    def _clear(self) -> None:
        """Deletes jobs that ended long ago."""
        if time.monotonic() < self._clear_at:
            return
        days = self._settings.job_retention_days
        if number := self._store.forget(time.time() - days * _SECONDS_OF_A_DAY):
            logger.info("jobs deleted that ended more than %g days ago", days, extra={"jobs": number})
        self._clear_at = time.monotonic() + _SECONDS_BETWEEN_CLEARINGS

    def _deadline(self) -> float:
        return time.monotonic() + self._settings.max_training_seconds

    def _log_end(self, job_id: str) -> None:
        job = self._store.get(job_id)
        logger.info("job ended", extra={"job_id": job_id, "state": job.state.value, "error": job.error})
