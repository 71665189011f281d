"""Runs the jobs of the queue in child processes, some at once. Lives in the supervisor, one a server."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

from inference_server.jobs.store import Job, JobStore, State, error_record
from inference_server.settings import Settings
from ser.errors import Code

_SECONDS_TO_END = 5.0
logger = logging.getLogger("ser.jobs")


@dataclass
class _Child:
    job: Job
    process: subprocess.Popen[bytes]
    deadline: float
    kill_at: float | None = None


class JobRunner:
    """Starts, watches and ends the processes of jobs. `tick` does what is due and returns at once."""

    def __init__(self, settings: Settings) -> None:
        """Opens the queue; jobs that ran when the last server died are failed, those that waited go on waiting."""
        self._settings = settings
        self.store = JobStore(settings.jobs_path)
        self._children: list[_Child] = []
        for job in self.store.in_state(State.RUNNING):
            self.store.fail(
                job.job_id, error_record(Code.UNAVAILABLE, "the server died while the job ran; start it again")
            )
            logger.warning("job failed: the last server died while it ran", extra={"job_id": job.job_id})

    def tick(self) -> None:
        """Reaps children that have ended, ends those that must, starts those that may."""
        for child in list(self._children):
            if child.process.poll() is not None:
                self._reap(child)
            else:
                self._end_if_due(child)
        free = self._settings.training_slots - len(self._children)
        for job in self.store.in_state(State.QUEUED)[: max(0, free)]:
            if self.store.start(job.job_id):
                self._start(job)

    def stop(self, seconds: float) -> None:
        """Ends all children; their jobs go back into the queue, for the next server to start anew."""
        for child in self._children:
            child.process.terminate()
        give_up = time.monotonic() + seconds
        for child in self._children:
            try:
                child.process.wait(max(0.0, give_up - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            self.store.requeue(child.job.job_id)
            logger.info("job goes back into the queue", extra={"job_id": child.job.job_id})
        self._children.clear()
        self.store.close()

    def _start(self, job: Job) -> None:
        settings = self._settings
        access = settings.access
        order = {
            "job_id": job.job_id,
            "jobs": str(settings.jobs_path.resolve()),
            "request": job.request,
            "limits": asdict(settings.limits),
            "access": {"schemes": sorted(access.schemes), "private": access.private, "hosts": sorted(access.hosts)},
        }
        process = subprocess.Popen([sys.executable, "-m", "inference_server.jobs.child"], stdin=subprocess.PIPE)
        assert process.stdin is not None  # noqa: S101 - asked for
        process.stdin.write(json.dumps(order).encode())
        process.stdin.close()
        self._children.append(_Child(job, process, time.monotonic() + settings.max_training_seconds))
        logger.info("job started", extra={"job_id": job.job_id, "pid": process.pid})

    def _end_if_due(self, child: _Child) -> None:
        now = time.monotonic()
        if child.kill_at is None:
            if self.store.get(child.job.job_id).cancel:
                child.process.terminate()
                child.kill_at = now + _SECONDS_TO_END
            elif now > child.deadline:
                limit = self._settings.max_training_seconds
                reason = f"expected an end within {limit:g} s (SER_MAX_TRAINING_SECONDS)"
                self.store.fail(child.job.job_id, error_record(Code.DEADLINE_EXCEEDED, reason))
                child.process.terminate()
                child.kill_at = now + _SECONDS_TO_END
        elif now > child.kill_at:
            child.process.kill()

    def _reap(self, child: _Child) -> None:
        self._children.remove(child)
        # Of one that has said how it ended, this changes nothing.
        self.store.fail(child.job.job_id, error_record(Code.INTERNAL, _why(child.process.returncode)))
        job = self.store.get(child.job.job_id)
        logger.info("job ended", extra={"job_id": job.job_id, "state": job.state.value, "error": job.error})


def _why(returncode: int) -> str:
    if returncode < 0:
        name = signal.Signals(-returncode).name
        hint = ", as the kernel does when memory runs out" if name == "SIGKILL" else ""
        return f"the training process was killed by {name}{hint}"
    return f"the training process ended with status {returncode} and no result; the server's log has its last words"
