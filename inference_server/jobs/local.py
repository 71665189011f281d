"""Trainings in child processes of this one."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from dataclasses import asdict

from inference_server.jobs.store import Job, JobStore, error_record
from inference_server.settings import Settings
from ser.errors import Code

logger = logging.getLogger("ser.jobs")


class LocalBackend:
    """See `inference_server.jobs.backend.Backend`. A child dies with its parent, so nothing is found again."""

    def __init__(self, settings: Settings, store: JobStore) -> None:
        self._settings = settings
        self._store = store

    def start(self, job: Job) -> ChildProcess:
        """See `Backend.start`."""
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
        logger.info("job has a process", extra={"job_id": job.job_id, "pid": process.pid})
        return ChildProcess(job.job_id, process, self._store)

    def find(self, job: Job) -> None:  # noqa: ARG002 - as Backend has it
        """See `Backend.find`."""
        return


class ChildProcess:
    """See `inference_server.jobs.backend.Run`."""

    def __init__(self, job_id: str, process: subprocess.Popen[bytes], store: JobStore) -> None:
        self._job_id = job_id
        self._process = process
        self._store = store

    def is_over(self) -> bool:
        """See `Run.is_over`."""
        if self._process.poll() is None:
            return False
        # Of one that has said how it ended, this changes nothing.
        self._store.fail(self._job_id, error_record(Code.INTERNAL, _why(self._process.returncode)))
        return True

    def end(self) -> None:
        """See `Run.end`."""
        self._process.terminate()

    def kill(self) -> None:
        """See `Run.kill`."""
        self._process.kill()

    def leave(self, seconds: float) -> bool:
        """See `Run.leave`."""
        self._process.terminate()
        try:
            self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        return True


def _why(returncode: int) -> str:
    if returncode < 0:
        name = signal.Signals(-returncode).name
        hint = ", as the kernel does when memory runs out" if name == "SIGKILL" else ""
        return f"the training process was killed by {name}{hint}"
    return f"the training process ended with status {returncode} and no result; the server's log has its last words"
