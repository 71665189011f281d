"""SER's server as a process of its own, for benchmarks."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import re
import subprocess
import sys
import wave
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from ser.audio.recordings import SAMPLE_RATE_HZ


class ServerProcess:
    """A running `ser-server` on free ports of loopback; its log goes to a file."""

    def __init__(
        self, folder: Path, *, workers: int, environment: Mapping[str, str] | None = None, **settings: object
    ) -> None:
        """Starts it, in a session of its own, and waits until it takes calls.

        Args:
            folder: Where its data, models and log are; the log goes on where an earlier server's ended.
            workers: How many.
            environment: What to set besides its settings.
            settings: Of `ser_inference_server.settings`, without the prefix.

        Raises:
            RuntimeError: If it does not come up; the message is its log.
        """
        own: dict[str, object] = {
            "http_port": 0,
            "grpc_port": 0,
            "data_root": folder / "data",
            "model_root": folder / "models",
        }
        variables = {
            f"SER_{name.upper()}": str(value) for name, value in {**own, "workers": workers, **settings}.items()
        }
        self._log = (folder / "server.log").open("a")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "inference_server"],
            env={**os.environ, **(environment or {}), **variables},
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None  # noqa: S101 - asked for
        found = re.match(r"gRPC on \S+:(\d+), HTTP on http://\S+:(\d+) ", self.process.stdout.readline())
        if found is None:
            raise RuntimeError((folder / "server.log").read_text())
        self.grpc_port, self.http_port = int(found[1]), int(found[2])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        self.process.wait(30)
        self._log.close()

    def worker_rss_bytes(self) -> list[int]:
        """Resident memory of each worker, in the order of their process ids."""
        found = []
        for pid in self.children("ser_inference_server.worker"):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
                found.append(int(status.partition("VmRSS:")[2].split()[0]) * 1_024)
            except (OSError, IndexError):  # ended meanwhile
                continue
        return found

    def children(self, module: str) -> list[int]:
        """The ids of its child processes that run a module, ascending."""
        children: list[str] = []
        for task in Path(f"/proc/{self.process.pid}/task").glob("*"):  # any of its threads may have started them
            with contextlib.suppress(OSError):
                children += (task / "children").read_text().split()
        found = []
        for pid in sorted(children, key=int):
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:  # ended meanwhile
                continue
            if module.encode() in command:
                found.append(int(pid))
        return found

    def json(self, verb: str, path: str, body: Any) -> Any:
        """One call over HTTP."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=120)
        try:
            connection.request(verb, path, json.dumps(body), {"content-type": "application/json"})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


def clip(seconds: float = 3.0) -> bytes:
    """A WAV, 16-bit at 16 kHz, of a gliding tone in noise."""
    moments = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    noise = np.random.default_rng(0).standard_normal(len(moments))
    samples = 0.3 * np.sin(2 * np.pi * (150 + 10 * np.sin(3 * moments)) * moments) + 0.02 * noise
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes((samples * 32_767).astype("<i2").tobytes())
    return buffer.getvalue()
