"""What is done to a server while it is asked: each kind in a thread of its own, at moments that follow from a seed."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.chaos.client import Client
from benchmarks.chaos.events import DELETION, DISK, KILL, LOCK, REPLACEMENT, STOP, Events
from benchmarks.chaos.kinds import Models
from benchmarks.server_process import ServerProcess
from ser.storage.files import exclusive, partial, replace_folder

WORKER, JOB = "ser_inference_server.worker", "ser_inference_server.jobs.child"
JOB_KILL = "kill of a job's process"
_STATE_BYTES = 16 << 20
_LONGEST_STOP_SECONDS = 30.0
_SECONDS_TO_REPLACE = 10.0


class Disturbances:
    """Threads that disturb until they are told to stop."""

    def __init__(
        self,
        server: ServerProcess,
        events: Events,
        models: Models,
        state: Path,
        *,
        workers: int,
        seed: int,
        small: bool,
    ) -> None:
        """Starts nothing.

        Args:
            server: Whom to disturb.
            events: Where everything is kept.
            models: What is served.
            state: The server's state root.
            workers: How many there should be.
            seed: Of the moments.
            small: Whether the state root is a small disk, which can be filled.
        """
        self.faults: list[str] = []
        """What did not recover, or could not be disturbed."""
        self._server, self._events, self._models, self._state = server, events, models, state
        self._workers, self._small, self._stop = workers, small, threading.Event()
        self._root = models.victim.parent
        self._threads = [
            threading.Thread(target=self._repeat, args=(kinds, random.Random(f"{seed}/{number}")))  # noqa: S311
            for number, kinds in enumerate(
                (
                    (self._kill, self._kill, self._hang, self._kill_job),
                    (self._fill, self._lock),
                    (self._delete, self._replace),
                )
            )
        ]

    def start(self) -> None:
        """Begins."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Undoes what lasts, and ends."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, kinds: tuple[Callable[[random.Random], None], ...], rng: random.Random) -> None:
        while not self._stop.wait(rng.uniform(1.0, 5.0)):
            disturb = rng.choice(kinds)
            try:
                disturb(rng)
            except Exception as error:  # noqa: BLE001 - told in the end; the others go on
                self.faults.append(f"{disturb.__name__.strip('_')}: {type(error).__name__}: {error}")

    def _victim(self, rng: random.Random) -> int | None:
        """One of the workers, once all are there."""
        give_up = time.monotonic() + _SECONDS_TO_REPLACE
        while len(found := self._server.children(WORKER)) < self._workers:
            if time.monotonic() > give_up:
                self.faults.append(f"{len(found)} of {self._workers} workers {_SECONDS_TO_REPLACE:g} s after one died")
                break
            if self._stop.wait(0.05):
                return None
        return rng.choice(found) if found else None

    def _kill(self, rng: random.Random) -> None:
        if (pid := self._victim(rng)) is not None:
            self._events.at_once(KILL, f"worker {pid}")
            os.kill(pid, signal.SIGKILL)

    def _hang(self, rng: random.Random) -> None:
        pid = self._victim(rng)
        if pid is None:
            return
        end = time.monotonic() + rng.choice((2.0, 5.0, _LONGEST_STOP_SECONDS))
        with self._events.during(STOP, f"worker {pid}"):
            os.kill(pid, signal.SIGSTOP)
            while pid in self._server.children(WORKER) and time.monotonic() < end and not self._stop.wait(0.1):
                pass
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _kill_job(self, rng: random.Random) -> None:
        if found := self._server.children(JOB):
            self._events.at_once(JOB_KILL)
            os.kill(rng.choice(found), signal.SIGKILL)

    def _fill(self, rng: random.Random) -> None:
        if not self._small:
            return
        path = self._state / "filling"
        with self._events.during(DISK):
            try:
                with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(4_096))
                self._stop.wait(rng.uniform(3, 12))
            finally:
                path.unlink(missing_ok=True)

    def _lock(self, rng: random.Random) -> None:
        other = sqlite3.connect(self._state / "jobs.sqlite", timeout=5, isolation_level=None)
        with contextlib.closing(other), self._events.during(LOCK), contextlib.suppress(sqlite3.OperationalError):
            other.execute("BEGIN IMMEDIATE")
            self._stop.wait(rng.uniform(1, 12))
            other.execute("ROLLBACK")

    def _delete(self, rng: random.Random) -> None:
        """By a call, as a caller would; put back by a rename, as a copy from elsewhere is."""
        victim = self._models.victim
        kept = self._root.parent / "kept" / victim.name
        with self._events.during(DELETION):
            client = Client(self._server, -1)
            answer = client.http("DELETE", f"/models/{victim.name}")
            client.close()
            self._stop.wait(rng.uniform(0, 1.5))
            shutil.rmtree(victim, ignore_errors=True)  # where the call was cut short
            coming = self._root / f".{victim.name}.coming"
            shutil.copytree(kept, coming)
            coming.rename(victim)
        del answer

    def _replace(self, rng: random.Random) -> None:
        target = self._root / self._models.changing[0].name
        version = rng.choice(self._models.changing)
        with self._events.during(REPLACEMENT), exclusive(target), partial(target) as coming:
            shutil.copytree(version, coming)
            replace_folder(target, coming)


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mounts a small file system in memory on an empty folder; gives whether that was allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={_STATE_BYTES}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)  # noqa: S607
