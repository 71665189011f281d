"""The parent of all: holds the ports, has workers and training jobs run, stops everything in order."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ser.storage.scratch import scratch_folder
from ser.storage.stores import is_address
from ser_inference_server.ports import hold, listen, refuse_newcomers
from ser_inference_server.settings import Settings, local_folder
from ser_inference_server.workers import Workers

if TYPE_CHECKING:
    from ser_inference_server.jobs.loop import JobLoop

_TICK_SECONDS = 0.1
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a scratch folder in it has a name that nobody can guess
logger = logging.getLogger("ser.supervisor")


class StartError(Exception):
    """The server cannot start."""

    def __init__(self, message: str, *, taken: bool = False) -> None:
        super().__init__(message)
        self.taken = taken
        """Whether that is because another process has what it needs."""


class Supervisor:
    """A server: `start`, then `run` until a signal comes."""

    def __init__(self, settings: Settings) -> None:
        """Takes the ports.

        Raises:
            PortError: If one is taken.
        """
        self._http = listen("http_port", settings.host, settings.http_port)
        # Held, never listened on: the workers share it, and nobody else can take it between their restarts.
        self._grpc = hold("grpc_port", settings.host, settings.grpc_port)
        self.settings = settings.model_copy(
            update={"http_port": self._http.getsockname()[1], "grpc_port": self._grpc.getsockname()[1]}
        )
        self._workers = Workers(self.settings, self._http)
        self._jobs: JobLoop | None = None
        self._stop = False

    @contextlib.contextmanager
    def start(self) -> Iterator[None]:
        """Starts the workers and the jobs; when it gives way all workers take calls. Stops everything at the end.

        Raises:
            StartError: If a worker does not come up, a folder cannot be made, or the queue is not this server's to run.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        with self._shared_figures():
            try:
                self._workers.tick(0)
                if self.settings.training_slots:
                    self._jobs = self._take_jobs()
                while not (self._workers.ready or self._stop):
                    self._workers.tick(_TICK_SECONDS)
                    if self._workers.deaths:
                        raise StartError("a worker did not come up; its log lines are above")
                if self._jobs:
                    self._jobs.start()
                yield
            finally:
                self._end()

    def run(self) -> None:
        """Keeps the workers alive and the jobs going until SIGTERM or SIGINT."""
        while not self._stop:
            self._workers.tick(_TICK_SECONDS)

    @contextlib.contextmanager
    def _shared_figures(self) -> Iterator[None]:
        """Makes the folders that are needed; that of the figures which workers share in memory, where there is a place.

        A full disk would end a worker in the middle of counting a call.
        """
        memory = _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
        with contextlib.ExitStack() as stack:
            try:
                for place in (self.settings.data_root, self.settings.model_root):
                    local_folder(place).mkdir(parents=True, exist_ok=True)
                os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(stack.enter_context(scratch_folder(memory)))
            except OSError as error:
                raise StartError(f"{error.filename}: {error.strerror}") from None
            yield

    def _take_jobs(self) -> JobLoop:
        # Imported here: the workers start meanwhile.
        from ser_inference_server.jobs.errors import NewerQueueError
        from ser_inference_server.jobs.loop import JobLoop, QueueTakenError

        try:
            return JobLoop(self.settings)
        except (QueueTakenError, NewerQueueError) as error:
            raise StartError(str(error), taken=True) from None

    def _end(self) -> None:
        give_up = time.monotonic() + self.settings.grace_seconds + 1
        # Those who have connected are answered; the last worker that closes the socket closes it for all.
        refuse_newcomers(self._http)
        self._workers.terminate()
        self._http.close()
        if self._jobs:
            self._jobs.stop(min(3.0, self.settings.grace_seconds))
        self._workers.wait(give_up - time.monotonic())
        self._grpc.close()

    def _on_signal(self, number: int, frame: object) -> None:  # noqa: ARG002 - as signal wants it
        self._stop = True


def model_root_hint(root: str) -> str:
    """The id of a model to try, or what stands for one."""
    from ser.bundles.model_store import list_models

    found = [] if is_address(root) else list_models(root)
    return found[-1] if found else "MODEL_ID"
