"""A server whose processes are killed: the jobs that it took, and the voices that it said it had enrolled, stay.

An episode is a life of a data root: the server is killed, or one of its processes is, again and again while it is
busy; after the death of the supervisor another server is started over the same folders. In the end everything that was
accepted must have come to an end that is told, and nothing may be left behind.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import threading
import time
from base64 import b64encode
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.server_process import ServerProcess, clip
from benchmarks.sigkill import forked
from benchmarks.sigkill.scenarios import Outcome, leftovers, whole_models
from ser.bundles.model_store import list_models

_OVER = ("SUCCEEDED", "FAILED", "CANCELLED")
_MOST_JOBS = 3
_SECONDS_TO_END = 300.0
_SECONDS_TO_ANSWER = 15.0
_JOB = "ser_inference_server.jobs.child"
_WORKER = "ser_inference_server.worker"


class _Life:
    """A server over a folder, started again whenever its supervisor was killed."""

    def __init__(self, place: Path, **settings: object) -> None:
        self.folder = place / "work"
        self._settings = settings
        self.problems: list[str] = []
        self.kills = 0
        self.server = self._start()

    def kill(self, rng: random.Random) -> None:
        """Kills the supervisor, everything, a worker, or a job's process."""
        children = {name: self.server.children(name) for name in (_JOB, _WORKER)}
        victim = rng.choice(["supervisor", "everything", _WORKER, *([_JOB] * 2 if children[_JOB] else [])])
        self.kills += 1
        with contextlib.suppress(ProcessLookupError):
            if victim in children:
                if children[victim]:  # else it is being replaced
                    os.kill(rng.choice(children[victim]), signal.SIGKILL)
                return
            (os.killpg if victim == "everything" else os.kill)(self.server.process.pid, signal.SIGKILL)
        self._restart()

    def _restart(self) -> None:
        self.server.process.wait()
        self.problems += [
            f"lived on after the supervisor: {command}" for command in forked.outlive(self.server.process.pid)
        ]
        self.server.__exit__(None, None, None)
        self.server = self._start()

    def ask(self, verb: str, path: str, body: Any = None) -> Any:
        """A call that is tried again while workers are being replaced; if they are not, the server is."""
        give_up = time.monotonic() + _SECONDS_TO_ANSWER
        while True:
            try:
                return self.server.json(verb, path, body)
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.05)
            if time.monotonic() > give_up:
                self.problems.append(f"no answer to {verb} {path} within {_SECONDS_TO_ANSWER:g} s of a kill")
                forked.end_session(self.server.process.pid)
                self._restart()
                give_up = time.monotonic() + _SECONDS_TO_ANSWER

    def end(self) -> Outcome:
        """Stops the server in order, and looks at what is left."""
        self.server.__exit__(None, None, None)
        self.problems += [f"lived on after the end: {one}" for one in forked.outlive(self.server.process.pid)]
        self.problems += whole_models(self.folder / "models") + leftovers(self.folder)
        return Outcome(self.kills, tuple(self.problems))

    def _start(self) -> ServerProcess:
        return ServerProcess(self.folder, environment=forked.surround(self.folder), **self._settings)  # type: ignore[arg-type]


def jobs(data: Path, rng: random.Random, place: Path) -> Outcome:
    """Trainings in a server. `data` is a data root whose features are there, so that a job is short."""
    _fresh(place)
    shutil.copytree(data, place / "work" / "data")
    life = _Life(place, workers=1)
    accepted: list[str] = []
    for _ in range(rng.randint(4, 8)):
        if len(accepted) < _MOST_JOBS:
            accepted.append(life.ask("POST", "/jobs", _order(life.folder, len(accepted)))["job_id"])
        time.sleep(rng.uniform(0.0, 4.0) if rng.random() < 0.5 else rng.uniform(0.0, 0.5))
        life.kill(rng)
    ends = _ends(life)
    for job_id in accepted:
        job = ends.get(job_id, {"state": "lost"})
        if job["state"] not in _OVER:
            life.problems.append(f"{job_id} was accepted, and is {job['state']} after {_SECONDS_TO_END:g} s")
        elif job["state"] == "SUCCEEDED" and not _is_there(life, job):
            life.problems.append(f"{job_id} is SUCCEEDED, and its model is not there")
        elif job["state"] == "FAILED" and not _of_a_kill(job["error"]):
            life.problems.append(f"{job_id} failed by no kill: {job['error']}")
    return life.end()


def enrolment(adaptive: Path, rng: random.Random, place: Path) -> Outcome:
    """Voices that are enrolled over HTTP, each call by another caller: every clip that was taken counts, once."""
    _fresh(place)
    shutil.copytree(adaptive, place / "work" / "models" / adaptive.name)
    life = _Life(place, workers=2, training_slots=0)
    taken, asked, stop = Counter[str](), Counter[str](), threading.Event()
    body = json.dumps({"clips": [b64encode(clip(0.5)).decode()]})

    def enroll(speaker: str) -> None:
        path = f"/models/{adaptive.name}/speakers"
        while not stop.is_set():
            asked[speaker] += 1
            connection = http.client.HTTPConnection("127.0.0.1", life.server.http_port, timeout=10)
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("POST", path, body.replace("{", f'{{"speaker": "{speaker}", ', 1), _JSON)
                taken[speaker] += connection.getresponse().status == 200
            connection.close()
            stop.wait(0.02)

    threads = [threading.Thread(target=enroll, args=(f"speaker-{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(rng.randint(10, 20)):
        time.sleep(rng.uniform(0.05, 0.8))
        life.kill(rng)
    stop.set()
    for thread in threads:
        thread.join()
    found = life.ask("GET", f"/models/{adaptive.name}/speakers")["speakers"]
    known = {one["speaker"]: one["enrolled_clips"] for one in found}
    for speaker, number in taken.items():
        if not number <= known.get(speaker, 0) <= asked[speaker]:
            got = f"{known.get(speaker, 0)} of {asked[speaker]} asked"
            life.problems.append(f"{speaker}: {number} clips were taken, {got} are there")
    return life.end()


_JSON = {"content-type": "application/json"}


def _fresh(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    (place / "work").mkdir(parents=True)


def _order(folder: Path, number: int) -> dict[str, Any]:
    return {
        "data_path": str(folder / "data"), "remote_url": "embedded:?clips=70", "random_state": number,
        "dataset_feature_extract_methods": {"MFCC": {"num_cepstral": 4}}, "model_type": "KerasClassifier",
        "model_save_path": str(folder / "models"), "model_config": {"epochs": 2},
    }  # fmt: skip


def _ends(life: _Life) -> dict[str, Any]:
    """The jobs, once all are over or time is up; a running job has a process."""
    give_up, without = time.monotonic() + _SECONDS_TO_END, 0
    while True:
        listed = {job["job_id"]: job for job in life.ask("GET", "/jobs")["jobs"]}
        # A call that was tried again may have been taken twice: all that are listed count.
        if all(job["state"] in _OVER for job in listed.values()) or time.monotonic() > give_up:
            return listed
        running = [name for name, job in listed.items() if job["state"] == "RUNNING"]
        without = without + 1 if running and not life.server.children(_JOB) else 0
        if without == 20:
            life.problems.append(f"{running} are RUNNING without a process")
        time.sleep(0.25)


def _is_there(life: _Life, job: dict[str, Any]) -> bool:
    return job["result"]["model_id"] in list_models(life.folder / "models")


def _of_a_kill(error: dict[str, Any]) -> bool:
    text = error["message"]
    return "SIGKILL" in text or "the server died" in text
