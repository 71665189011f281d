"""A customer of trainings: every job that was accepted must be listed for ever, and come to an end that is told."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.chaos.answers import OK, Answer
from benchmarks.chaos.callers import Tally
from benchmarks.chaos.client import Client
from benchmarks.chaos.events import QUEUE, Call
from benchmarks.server_process import ServerProcess

_OVER = ("SUCCEEDED", "FAILED", "CANCELLED")
_MOST_AT_ONCE = 3
_SECONDS_BETWEEN = 6.0
_OF_JOBS = frozenset({QUEUE})


class Customer:
    """Orders trainings, cancels some, and looks after all."""

    def __init__(self, server: ServerProcess, folder: Path, seed: int) -> None:
        self.tally = Tally()
        self.faults: list[str] = []
        self.states: dict[str, dict[str, Any]] = {}
        """Every accepted job as it was last seen."""
        self._folder = folder
        self._client = Client(server, -2)
        self._server = server
        self._rng = random.Random(seed)  # noqa: S311 - which is cancelled is no secret
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._go)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def end(self, seconds: float) -> None:
        """Orders no more, and waits for the end of all that was ordered."""
        self._stop.set()
        self._thread.join()
        give_up = time.monotonic() + seconds
        while (
            self._server_lives()
            and time.monotonic() < give_up
            and any(job["state"] not in _OVER for job in self.states.values())
        ):
            self._look()
            time.sleep(0.5)
        self._client.close()
        for job_id, job in self.states.items():
            if job["state"] not in _OVER:
                self.faults.append(
                    f"{job_id} was accepted and is {job['state']} {seconds:g} s after everything is calm"
                )

    def failed(self) -> dict[str, str]:
        """The jobs that ended without a model, and what was said; those that were cancelled aside."""
        return {job_id: job["error"]["message"] for job_id, job in self.states.items() if job["state"] == "FAILED"}

    def _server_lives(self) -> bool:
        return self._server.process.poll() is None

    def _go(self) -> None:
        due = 0.0
        while not self._stop.wait(0.5):
            self._look()
            waiting = [job_id for job_id, job in self.states.items() if job["state"] not in _OVER]
            if time.monotonic() < due or len(waiting) >= _MOST_AT_ONCE:
                continue
            due = time.monotonic() + self._rng.uniform(0.5, 1.5) * _SECONDS_BETWEEN
            if waiting and self._rng.random() < 0.4:
                self._ask("cancel a job", "POST", f"/jobs/{self._rng.choice(waiting)}:cancel", {})
                continue
            answer = self._ask("start a training", "POST", "/jobs", self._order())
            if answer.outcome == OK:
                self.states[answer.value["job_id"]] = answer.value

    def _look(self) -> None:
        answer = self._ask("list of jobs", "GET", "/jobs?page_size=1000", None)
        if answer.outcome != OK:
            return
        listed = {job["job_id"]: job for job in answer.value["jobs"]}
        for job_id, before in self.states.items():
            if job_id not in listed:
                self.faults.append(f"{job_id} was accepted and is not listed")
            elif before["state"] in _OVER and listed[job_id]["state"] != before["state"]:
                self.faults.append(f"{job_id} was {before['state']} and is {listed[job_id]['state']}")
            self.states[job_id] = listed.get(job_id, before)

    def _ask(self, name: str, verb: str, path: str, body: Any) -> Answer:
        sent = time.monotonic()
        answer = self._client.http(verb, path) if body is None else self._client.json(verb, path, body)
        done = time.monotonic()
        self.tally.calls[name] += 1
        if answer.outcome != OK:
            connected = min(self._client.connected, sent)
            self.tally.other.append(Call(name, _OF_JOBS, sent, done, connected, answer))
        return answer

    def _order(self) -> dict[str, Any]:
        return {
            "data_path": str(self._folder / "data"), "remote_url": "embedded:?clips=70",
            "model_type": "KerasClassifier", "model_config": {"epochs": 2},
            "dataset_feature_extract_methods": {"MFCC": {"num_cepstral": 4}},
            "model_save_path": str(self._folder / "models" / "trained"), "random_state": self._rng.randrange(1_000),
        }  # fmt: skip
