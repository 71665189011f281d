"""Trainings in child processes of this one."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path

from ser.errors import Code
from ser.processes import child_command
from ser.storage.files import sweep_below
from ser.storage.scratch import scratch_folder, sweep_scratch
from ser_inference_server.jobs.store import Job, JobStore, error_record
from ser_inference_server.orders import order_file
from ser_inference_server.settings import Settings, local_folder

_SECONDS_TO_BE_KILLED = 5.0
logger = logging.getLogger("ser.jobs")


class LocalBackend:
    """See `ser_inference_server.jobs.backend.Backend`. A child dies with its parent, so nothing is found again."""

    def __init__(self, settings: Settings, store: JobStore) -> None:
        self._settings = settings
        self._store = store
        self._temporary = Path(tempfile.gettempdir())
        sweep_scratch(self._temporary)

    def start(self, job: Job) -> ChildProcess:
        """See `Backend.start`."""
        settings = self._settings
        access = settings.access
        order = {
            "job_id": job.job_id,
            "jobs": str(settings.jobs_path.resolve()),
            "request": job.request,
            "log": {"level": settings.log_level, "style": settings.log_format},
            "limits": asdict(settings.limits),
            "access": {"schemes": sorted(access.schemes), "private": access.private, "hosts": sorted(access.hosts)},
        }
        with contextlib.ExitStack() as stack, order_file(order) as stdin:
            temporary = stack.enter_context(scratch_folder(self._temporary))
            process = subprocess.Popen(  # noqa: S603 - ours
                child_command("ser_inference_server.jobs.child"),
                stdin=stdin,
                env={**os.environ, "TMPDIR": str(temporary)},
            )
            logger.info("job has a process", extra={"job_id": job.job_id, "pid": process.pid})
            return ChildProcess(job, process, self._store, stack.pop_all())

    def find(self, job: Job) -> None:
        """See `Backend.find`."""
        _sweep_after(job)


class ChildProcess:
    """See `ser_inference_server.jobs.backend.Run`."""

    def __init__(
        self, job: Job, process: subprocess.Popen[bytes], store: JobStore, temporary: contextlib.ExitStack
    ) -> None:
        self._job = job
        self._process = process
        self._store = store
        self._temporary = temporary

    def is_over(self) -> bool:
        """See `Run.is_over`."""
        if self._process.poll() is None:
            return False
        # Of one that has said how it ended, this changes nothing.
        self._store.fail(self._job.job_id, error_record(Code.INTERNAL, _why(self._process.returncode)))
        self._tidy()
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
            with contextlib.suppress(subprocess.TimeoutExpired):  # a disk that hangs holds even a killed one
                self._process.wait(_SECONDS_TO_BE_KILLED)
        self._tidy()
        return True

    def _tidy(self) -> None:
        try:
            self._temporary.close()
        except OSError as error:
            logger.warning("temporary files of a job stay: %s", error, extra={"job_id": self._job.job_id})
        if self._process.returncode != 0:
            _sweep_after(self._job)


def _sweep_after(job: Job) -> None:
    """Removes the half-made folders of a job that was killed: the next one may never come to the same names."""
    for field in ("data_path", "model_save_path"):
        sweep_below(local_folder(job.request[field]))


def _why(returncode: int) -> str:
    if returncode < 0:
        name = signal.Signals(-returncode).name
        hint = ", as the kernel does when memory runs out" if name == "SIGKILL" else ""
        return f"the training process was killed by {name}{hint}"
    return f"the training process ended with status {returncode} and no result; the server's log has its last words"
