"""The workers: started, watched by their heartbeats, replaced when they die or fall silent. Nothing here waits long."""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from ser.processes import child_command
from ser_inference_server.backoff import Backoff
from ser_inference_server.orders import order_file
from ser_inference_server.settings import Settings

WORKER_ENVIRONMENT = {
    # A worker has a core; more BLAS threads than that double the processor time of a call.
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    # One heap for all of gRPC's threads, instead of one each that keeps what it once needed.
    "MALLOC_ARENA_MAX": "1",
}
_SECONDS_TO_START = 60.0
_SECONDS_TO_DIE = 0.05
_LONGEST_TICK_SECONDS = 0.25
logger = logging.getLogger("ser.supervisor")


@dataclass
class _Worker:
    """A process, and the end of a pipe that it writes a byte to once it takes calls, then at each heartbeat."""

    process: subprocess.Popen[bytes]
    heartbeats: int
    silent: float = 0.0
    """For how many seconds nothing was heard of it, of those in which the supervisor itself ran."""
    ready: bool = False
    """Whether it has ever taken calls."""


@dataclass
class _Place:
    """Where a worker belongs: there is always one, or one is about to come."""

    worker: _Worker | None = None
    again: Backoff = field(default_factory=lambda: Backoff("a worker is missing", first=0.1, longest=5.0))


class Workers:
    """As many workers as the settings say."""

    def __init__(self, settings: Settings, http: socket.socket) -> None:
        """Starts none yet: `tick` does."""
        self._settings = settings
        self._http = http
        self._places = [_Place() for _ in range(settings.workers)]
        self._ending: list[subprocess.Popen[bytes]] = []
        """Processes that were given up, and have not ended yet."""
        self._selector = selectors.DefaultSelector()
        self._ticked = time.monotonic()
        self.deaths = 0
        """How many workers have died, or could not be started."""

    @property
    def ready(self) -> bool:
        """Whether all of them take calls."""
        return all(place.worker is not None and place.worker.ready for place in self._places)

    def tick(self, seconds: float) -> None:
        """Hears the heartbeats, for so many seconds or until something has happened; replaces whom it must."""
        for place in self._places:
            if place.worker is None and place.again.is_due:
                self._fill(place)
        for key, _ in self._selector.select(seconds):
            self._hear(key.data)
        now = time.monotonic()
        # When this process was stopped, or starved, then so were the workers, most likely.
        passed, self._ticked = min(now - self._ticked, _LONGEST_TICK_SECONDS), now
        for place in self._places:
            self._check(place, passed)
        self._ending = [process for process in self._ending if process.poll() is None]

    def terminate(self) -> None:
        """Asks all of them to end."""
        for place in self._places:
            if place.worker is not None:
                place.worker.process.terminate()

    def wait(self, seconds: float) -> None:
        """Waits for their end; kills those that take longer."""
        give_up = time.monotonic() + seconds
        for place in self._places:
            if place.worker is not None:
                _wait_or_kill(place.worker.process, give_up)
        self._selector.close()

    def _fill(self, place: _Place) -> None:
        try:
            place.worker = self._start()
        except OSError as error:
            self.deaths += 1
            place.again.failed(f"the system refuses a process: {error}")
            return
        self._selector.register(place.worker.heartbeats, selectors.EVENT_READ, place)

    def _start(self) -> _Worker:
        heartbeats, told = os.pipe()
        try:
            os.set_blocking(heartbeats, False)
            order = {
                "settings": self._settings.model_dump(mode="json"),
                "http_socket": self._http.fileno(),
                "heartbeats": told,
            }
            with order_file(order) as stdin:
                process = subprocess.Popen(  # noqa: S603 - ours
                    child_command("ser_inference_server.worker"),
                    stdin=stdin,
                    pass_fds=(self._http.fileno(), told),
                    env={**os.environ, **WORKER_ENVIRONMENT},
                )
        except BaseException:
            os.close(heartbeats)
            raise
        finally:
            os.close(told)
        return _Worker(process, heartbeats)

    def _hear(self, place: _Place) -> None:
        worker = place.worker
        if worker is None:
            return
        if not os.read(worker.heartbeats, 4_096):
            self._replace(place, worker, "a worker died")
            return
        worker.silent = 0.0
        worker.ready = True
        place.again.worked()

    def _check(self, place: _Place, passed: float) -> None:
        worker = place.worker
        if worker is None:
            return
        worker.silent += passed
        if worker.silent > (self._settings.worker_silence_seconds if worker.ready else _SECONDS_TO_START):
            what = "gives no sign of life (SER_WORKER_SILENCE_SECONDS)" if worker.ready else "does not come up"
            self._replace(place, worker, f"a worker {what}, it is killed")

    def _replace(self, place: _Place, worker: _Worker, why: str) -> None:
        """Gives a worker up. A new one comes at once if that one ever took calls, else after a while."""
        self._selector.unregister(worker.heartbeats)
        os.close(worker.heartbeats)
        with contextlib.suppress(subprocess.TimeoutExpired):  # its pipe is closed a moment before it has a status
            worker.process.wait(_SECONDS_TO_DIE)
        logger.error(why, extra={"pid": worker.process.pid, "status": worker.process.returncode})
        worker.process.kill()
        self._ending.append(worker.process)
        place.worker = None
        self.deaths += 1
        _forget_figures(worker.process.pid)
        if not worker.ready:
            place.again.failed(f"{why} before it took calls")
        if place.again.is_due:
            self._fill(place)


def _forget_figures(pid: int) -> None:
    """Takes what a worker had under way out of the figures, as `mark_process_dead` of Prometheus's client does."""
    with contextlib.suppress(OSError):  # figures are not worth a supervisor
        for path in Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).glob(f"gauge_live*_{pid}.db"):
            path.unlink(missing_ok=True)


def _wait_or_kill(process: subprocess.Popen[bytes], give_up: float) -> None:
    try:
        process.wait(max(0.1, give_up - time.monotonic()))
    except subprocess.TimeoutExpired:
        logger.error("a worker did not end in time, and is killed", extra={"pid": process.pid})
        process.kill()
        try:
            process.wait(1.0)
        except subprocess.TimeoutExpired:
            logger.error("a killed worker does not end: does it wait for a disk?", extra={"pid": process.pid})
