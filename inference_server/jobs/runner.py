"""Takes the jobs of the queue, some at once, and sees them to their ends. One a queue."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from inference_server.jobs.backend import Run, create_backend
from inference_server.jobs.store import Job, JobStore, State, error_record
from inference_server.settings import Settings
from ser.errors import Code, SerError

_SECONDS_TO_END = 5.0
logger = logging.getLogger("ser.jobs")


@dataclass
class _Running:
    job: Job
    run: Run
    deadline: float
    kill_at: float | None = None


class JobRunner:
    """Starts, watches and ends jobs. `tick` does what is due and returns at once."""

    def __init__(self, settings: Settings) -> None:
        """Opens the queue. What ran when the last server ended is taken up again, or failed; what waited waits on."""
        self._settings = settings
        self.store = JobStore(settings.jobs_path)
        self._backend = create_backend(settings, self.store)
        self._running: list[_Running] = []
        for job in self.store.in_state(State.RUNNING):
            run = self._backend.find(job)
            if run is not None:
                self._running.append(_Running(job, run, self._deadline()))
                continue
            self.store.fail(
                job.job_id, error_record(Code.UNAVAILABLE, "the server died while the job ran; start it again")
            )
            logger.warning("job failed: the last server died while it ran", extra={"job_id": job.job_id})

    def tick(self) -> None:
        """Takes note of jobs that have ended, ends those that must, starts those that may."""
        for running in list(self._running):
            if running.run.is_over():
                self._running.remove(running)
                self._log_end(running.job.job_id)
            else:
                self._end_if_due(running)
        free = self._settings.training_slots - len(self._running)
        for job in self.store.in_state(State.QUEUED)[: max(0, free)]:
            if self.store.start(job.job_id):
                self._start(job)

    def stop(self, seconds: float) -> None:
        """Ends the jobs that end with the server; they go back into the queue, for the next one to start anew."""
        give_up = time.monotonic() + seconds
        for running in self._running:
            if running.run.leave(give_up - time.monotonic()):
                self.store.requeue(running.job.job_id)
                logger.info("job goes back into the queue", extra={"job_id": running.job.job_id})
        self._running.clear()
        self.store.close()

    def _start(self, job: Job) -> None:
        try:
            run = self._backend.start(job)
        except SerError as error:
            self.store.fail(job.job_id, error_record(error.code, str(error), error))
            self._log_end(job.job_id)
            return
        self._running.append(_Running(job, run, self._deadline()))
        logger.info("job started", extra={"job_id": job.job_id})

    def _end_if_due(self, running: _Running) -> None:
        now, job_id = time.monotonic(), running.job.job_id
        if running.kill_at is None:
            if self.store.get(job_id).cancel:
                running.run.end()
                running.kill_at = now + _SECONDS_TO_END
            elif now > running.deadline:
                limit = self._settings.max_training_seconds
                reason = f"expected an end within {limit:g} s (SER_MAX_TRAINING_SECONDS)"
                self.store.fail(job_id, error_record(Code.DEADLINE_EXCEEDED, reason))
                running.run.end()
                running.kill_at = now + _SECONDS_TO_END
        elif now > running.kill_at:
            running.run.kill()

    def _deadline(self) -> float:
        return time.monotonic() + self._settings.max_training_seconds

    def _log_end(self, job_id: str) -> None:
        job = self.store.get(job_id)
        logger.info("job ended", extra={"job_id": job_id, "state": job.state.value, "error": job.error})
