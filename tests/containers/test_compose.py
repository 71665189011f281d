"""`compose.yaml` brought up as the README says, used through its port, and taken down."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import httpx
import pytest

from tests.containers.test_server import free_port

pytestmark = pytest.mark.timeout(1_800)

ROOT = Path(__file__).parents[2]
PROJECT = f"ser-test-{os.getpid()}"
LABEL = f"com.docker.compose.project={PROJECT}"


def compose_command() -> list[str]:
    """Docker's own, or podman-compose where the engine is Podman."""
    if "podman" in os.environ.get("DOCKER_HOST", "") or not shutil.which("docker"):
        return [str(Path(sys.executable).with_name("podman-compose"))]
    return ["docker", "compose"]


@dataclass(frozen=True)
class Compose:
    """The project on two free ports."""

    http_port: int
    grpc_port: int

    def __call__(self, *arguments: str) -> None:
        """Runs a command of compose."""
        command = [*compose_command(), "--file", str(ROOT / "compose.yaml"), "--project-name", PROJECT, *arguments]
        ports = {"SER_HTTP_PORT": str(self.http_port), "SER_GRPC_PORT": str(self.grpc_port)}
        done = subprocess.run(command, env={**os.environ, **ports}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def compose() -> Iterator[Compose]:
    compose = Compose(free_port(), free_port())
    yield compose
    compose("down", "--volumes")


def test_it_trains_and_predicts_and_leaves_nothing(engine: docker.DockerClient, compose: Compose) -> None:
    compose("up", "--detach")
    containers = engine.containers.list(filters={"label": LABEL})
    assert len(containers) == 2
    server = next(one for one in containers if one.labels["com.docker.compose.service"] == "server")
    assert any(b"gRPC on" in line for line in server.logs(stream=True, follow=True))
    with httpx.Client(base_url=f"http://127.0.0.1:{compose.http_port}", timeout=300) as client:
        body = {
            "data_path": "data", "remote_url": "embedded:?clips=30", "model_type": "KerasClassifier",
            "model_save_path": "models", "model_config": {"epochs": 2},
        }  # fmt: skip
        trained = client.post("/train", json=body)
        assert trained.status_code == 200, trained.text
        model = {"model_save_path": "models", "model_id": trained.json()["model_id"]}
        predicted = client.post("/predict", json={**model, "sample_name": trained.json()["test_samples"][0]})
        assert predicted.status_code == 200, predicted.text
        assert sum(predicted.json()["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    compose("stop")  # kills what has not ended by itself, which has another status
    assert [one.wait()["StatusCode"] for one in containers] == [0, 0]
    compose("down", "--volumes")
    assert engine.containers.list(all=True, filters={"label": LABEL}) == []
    assert engine.volumes.list(filters={"name": PROJECT}) == []
