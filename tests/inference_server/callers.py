"""Callers that call without a pause, and write down how each call went."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ser_api.v1 import ser_pb2
from tests.inference_server.harness import Server

_SECONDS_TO_ANSWER = 30.0


@dataclass
class Outcome:
    """How one call went."""

    ended: float
    """As `time.monotonic`."""
    status: int | None
    """None without an answer."""
    error: str = ""
    connected: bool = True
    """Whether there was a connection when it failed."""
    last: bool = False
    """Whether the answer said that the connection ends."""


@dataclass
class Callers:
    """What the callers have seen so far."""

    outcomes: list[Outcome] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def failed(self) -> list[Outcome]:
        """The calls that were not answered with 200."""
        return [outcome for outcome in self.outcomes if outcome.status != 200]

    def wait_for_answers(self, number: int = 1, seconds: float = 60.0) -> None:
        """Waits for so many good answers from now on."""
        before, give_up = self._answers(), time.monotonic() + seconds
        while self._answers() < before + number:
            assert time.monotonic() < give_up, f"no answer within {seconds:g} s: {self.outcomes[-5:]}"
            time.sleep(0.005)

    def _answers(self) -> int:
        return sum(outcome.status == 200 for outcome in list(self.outcomes))


@contextlib.contextmanager
def calling(server: Server, body: dict[str, Any], *, callers: int, keep_alive: bool = True) -> Iterator[Callers]:
    """Predicts over HTTP from several threads until the end of the block."""
    seen = Callers()
    host = server.http.removeprefix("http://")
    threads = [threading.Thread(target=_call, args=(host, body, seen, keep_alive)) for _ in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        seen.stop.set()
        for thread in threads:
            thread.join(_SECONDS_TO_ANSWER + 5)


def _call(host: str, body: dict[str, Any], seen: Callers, keep_alive: bool) -> None:
    content = json.dumps(body)
    connection = http.client.HTTPConnection(host, timeout=_SECONDS_TO_ANSWER)
    while not seen.stop.is_set():
        try:
            if connection.sock is None:
                connection.connect()
            connection.request("POST", "/predict", content, {"content-type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            last = answer.headers.get("connection") == "close"
            seen.outcomes.append(Outcome(time.monotonic(), answer.status, last=last))
        except (OSError, http.client.HTTPException) as error:
            connected = connection.sock is not None
            seen.outcomes.append(Outcome(time.monotonic(), None, repr(error), connected))
            connection.close()
            if not connected:
                time.sleep(0.01)
        if not keep_alive:
            connection.close()
    connection.close()


def waiting(model_id: str, done: threading.Event) -> Iterator[ser_pb2.StreamPredictRequest]:
    """A stream that says enough for one answer, and then nothing until `done` is set."""
    yield ser_pb2.StreamPredictRequest(config=ser_pb2.StreamConfig(model_id=model_id))
    yield ser_pb2.StreamPredictRequest(pcm=b"\1\1" * 16_000 * 4)
    done.wait(60)
