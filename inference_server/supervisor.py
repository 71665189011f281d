"""The parent of all: holds the ports, keeps the workers alive, runs the training jobs, stops everything in order."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from inference_server.settings import Settings, local_folder
from ser.stores import is_address

if TYPE_CHECKING:
    from inference_server.jobs.runner import JobRunner

WORKER_ENVIRONMENT = {
    # A worker has a core; more BLAS threads than that double the processor time of a call.
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    # One heap for all of gRPC's threads, instead of one each that keeps what it once needed.
    "MALLOC_ARENA_MAX": "1",
}
_TICK_SECONDS = 0.1
_SECONDS_TO_START = 60.0
_SHORTEST_LIFE_SECONDS = 5.0
logger = logging.getLogger("ser.supervisor")


class PortError(OSError):
    """A port cannot be listened on."""


class Supervisor:
    """A server: `start`, then `run` until a signal comes."""

    def __init__(self, settings: Settings) -> None:
        """Takes the ports.

        Raises:
            PortError: If one is taken.
        """
        self._http = _listen("http_port", settings.host, settings.http_port)
        # Held, never listened on: the workers share it, and nobody else can take it between their restarts.
        self._grpc = _hold("grpc_port", settings.host, settings.grpc_port)
        self.settings = settings.model_copy(
            update={"http_port": self._http.getsockname()[1], "grpc_port": self._grpc.getsockname()[1]}
        )
        self._workers: dict[subprocess.Popen[bytes], float] = {}
        self._runner: JobRunner | None = None
        self._stop = False

    @contextlib.contextmanager
    def start(self) -> Iterator[None]:
        """Starts the workers and the jobs; when it gives way all workers take calls. Stops everything at the end."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        for place in (self.settings.data_root, self.settings.model_root):
            local_folder(place).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="ser-metrics-") as metrics:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics
            try:
                ready = [self._spawn() for _ in range(self.settings.workers)]
                if self.settings.training_slots:
                    from inference_server.jobs.runner import JobRunner  # the workers start meanwhile

                    self._runner = JobRunner(self.settings)
                self._wait_ready(ready)
                yield
            finally:
                self._end()

    def run(self) -> None:
        """Keeps the workers alive and the jobs going until SIGTERM or SIGINT."""
        while not self._stop:
            if self._runner:
                self._runner.tick()
            for worker in [one for one in self._workers if one.poll() is not None]:
                lived = time.monotonic() - self._workers.pop(worker)
                logger.error("a worker died", extra={"pid": worker.pid, "status": worker.returncode})
                if lived < _SHORTEST_LIFE_SECONDS:
                    time.sleep(1)  # one that cannot live is not started ten times a second
                os.close(self._spawn())
            time.sleep(_TICK_SECONDS)

    def _spawn(self) -> int:
        """Starts a worker; gives the end of a pipe that becomes readable when it takes calls, or dies."""
        ready, tell = os.pipe()
        order = {
            "settings": self.settings.model_dump(mode="json"),
            "http_socket": self._http.fileno(),
            "ready": tell,
        }
        worker = subprocess.Popen(
            [sys.executable, "-m", "inference_server.worker"],
            stdin=subprocess.PIPE,
            pass_fds=(self._http.fileno(), tell),
            env={**os.environ, **WORKER_ENVIRONMENT},
        )
        os.close(tell)
        assert worker.stdin is not None  # noqa: S101 - asked for
        worker.stdin.write(json.dumps(order).encode())
        worker.stdin.close()
        self._workers[worker] = time.monotonic()
        return ready

    def _wait_ready(self, pipes: list[int]) -> None:
        give_up = time.monotonic() + _SECONDS_TO_START
        for pipe in pipes:
            readable, _, _ = select.select([pipe], [], [], max(0.0, give_up - time.monotonic()))
            said = os.read(pipe, 1) if readable else b""
            os.close(pipe)
            if self._stop:
                return
            if not said:
                raise RuntimeError("a worker did not come up; its log lines are above")

    def _end(self) -> None:
        give_up = time.monotonic() + self.settings.grace_seconds + 1
        for worker in self._workers:
            worker.terminate()
        if self._runner:
            self._runner.stop(min(3.0, self.settings.grace_seconds))
        for worker in self._workers:
            try:
                worker.wait(max(0.1, give_up - time.monotonic()))
            except subprocess.TimeoutExpired:
                logger.error("a worker did not end in time, and is killed", extra={"pid": worker.pid})
                worker.kill()
                worker.wait()
        self._http.close()
        self._grpc.close()

    def _on_signal(self, number: int, frame: object) -> None:  # noqa: ARG002 - as signal wants it
        self._stop = True


def _listen(name: str, host: str, port: int) -> socket.socket:
    listener = _hold(name, host, port, shared=False)
    listener.listen(1_024)
    listener.set_inheritable(True)
    return listener


def _hold(name: str, host: str, port: int, *, shared: bool = True) -> socket.socket:
    """A socket bound to a port. With `shared` others may bind to it that say so too."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        if shared and port:
            with socket.socket(family, kind, protocol) as probe:  # one that does not share finds strangers
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        held = socket.socket(family, kind, protocol)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT if shared else socket.SO_REUSEADDR, 1)
        held.bind(address)
    except OSError as error:
        raise PortError(f"{name}: cannot listen on {host}:{port}: {error.strerror} (SER_{name.upper()})") from None
    return held


def model_root_hint(root: str) -> str:
    """The id of a model to try, or what stands for one."""
    from ser.model_store import list_models

    found = [] if is_address(root) else list_models(root)
    return found[-1] if found else "MODEL_ID"
