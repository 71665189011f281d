"""A real server on free loopback ports, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
from google.rpc import error_details_pb2, status_pb2

from ser_api.v1 import ser_pb2_grpc
from tests import deadlines

EPOCHS = {"epochs": 2}


@dataclass
class Server:
    """A running `ser-server`."""

    process: subprocess.Popen[str]
    http: str
    """As http://127.0.0.1:40001."""
    grpc: str
    """As 127.0.0.1:40002."""
    data: Path
    models: Path
    log: Path

    def client(self, **options: Any) -> httpx.Client:
        """An HTTP client of this server."""
        return httpx.Client(base_url=self.http, timeout=deadlines.SECONDS, trust_env=False, **options)

    @contextlib.contextmanager
    def stub(self) -> Iterator[ser_pb2_grpc.SpeechEmotionRecognitionStub]:
        """A gRPC client of this server."""
        with grpc.insecure_channel(self.grpc) as channel:
            yield ser_pb2_grpc.SpeechEmotionRecognitionStub(channel)

    def request(self, **fields: Any) -> dict[str, Any]:
        """The body of a small training."""
        return {
            "data_path": str(self.data),
            "remote_url": "embedded:?clips=70",
            "model_type": "KerasClassifier",
            "model_save_path": str(self.models),
            "model_config": EPOCHS,
            **fields,
        }

    def logged(self) -> list[dict[str, Any]]:
        """The log's lines that are JSON."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextlib.contextmanager
def serve(folder: Path, **settings: object) -> Iterator[Server]:
    """Starts a server whose roots are in a folder, and stops it at the end; settings are SER_… without the prefix."""
    data, models = folder / "data", folder / "models"
    own = {"host": "127.0.0.1", "http_port": 0, "grpc_port": 0, "workers": 1, "data_root": data, "model_root": models}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SER_")}
    environment |= {f"SER_{name.upper()}": str(value) for name, value in {**own, **settings}.items()}
    folder.mkdir(exist_ok=True)
    with (folder / "server.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "inference_server"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=folder,
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        found = re.match(r"gRPC on (\S+), HTTP on (\S+) ", line)
        assert found, f"{line}{(folder / 'server.log').read_text()}"
        yield Server(process, found[2], found[1], data, models, folder / "server.log")
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()


def status_of(error: grpc.RpcError) -> status_pb2.Status:
    """The google.rpc.Status of a failed call."""
    trailing = dict(error.trailing_metadata())  # type: ignore[attr-defined]
    return status_pb2.Status.FromString(trailing["grpc-status-details-bin"])


def fields_of(status: status_pb2.Status) -> dict[str, str]:
    """Field to description of each violation."""
    found: dict[str, str] = {}
    for detail in status.details:
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            found |= {violation.field: violation.description for violation in bad.field_violations}
    return found
