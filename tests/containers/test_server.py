"""The server's container with a trainer's beside it: read-only, as nobody in particular, over one volume."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import docker
import pytest

from ser_client import Client
from ser_components.images import image
from ser_pipelines.containers import find_image
from tests.containers.running import run_to_end
from tests.signals import tone, wav

pytestmark = pytest.mark.timeout(1_800)


@dataclass
class Served:
    server: docker.models.containers.Container
    trainer: docker.models.containers.Container
    http_port: int
    grpc_port: int


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def served(engine: docker.DockerClient) -> Iterator[Served]:
    http_port, grpc_port = free_port(), free_port()
    environment = {
        "SER_HOST": "127.0.0.1", "SER_HTTP_PORT": str(http_port), "SER_GRPC_PORT": str(grpc_port), "SER_WORKERS": "1",
    }  # fmt: skip
    # A name of its own: a run that was killed leaves its containers behind, and they hold on to their volume.
    volume = engine.volumes.create(f"ser-test-{uuid.uuid4().hex}")
    safe = {
        "detach": True, "read_only": True, "tmpfs": {"/tmp": "mode=1777"}, "cap_drop": ["ALL"], "network_mode": "host",
        "security_opt": ["no-new-privileges"], "volumes": {volume.name: {"bind": "/var/lib/ser", "mode": "rw"}},
        "environment": environment,
    }  # fmt: skip
    with ExitStack() as stack:
        stack.callback(volume.remove, force=True)
        server = engine.containers.run(find_image(engine, image("server")), **safe)
        stack.callback(server.remove, force=True)
        trainer = engine.containers.run(find_image(engine, image("training")), ["ser-trainer"], **safe)
        stack.callback(trainer.remove, force=True)
        for line in server.logs(stream=True, follow=True):
            if b"gRPC on" in line:
                break
        yield Served(server, trainer, http_port, grpc_port)


@pytest.fixture(scope="module")
def model_id(served: Served) -> str:
    with Client(f"127.0.0.1:{served.grpc_port}") as client:
        answer = client.train(
            data_path="data",
            remote_url="embedded:?clips=30",
            model_type="KerasClassifier",
            model_save_path="models",
            model_config={"epochs": 2},
        )
    return str(answer.model_id)


def test_it_trains_and_predicts_through_its_ports(served: Served, model_id: str) -> None:
    import httpx

    with Client(f"127.0.0.1:{served.grpc_port}") as client:
        over_grpc = client.predict(wav(tone()), model_id=model_id)
    answer = httpx.post(
        f"http://127.0.0.1:{served.http_port}/predict", files={"audio": wav(tone())}, data={"model_id": model_id}
    ).json()
    assert answer["prediction"] == over_grpc.prediction
    assert answer["probabilities"] == pytest.approx(dict(over_grpc.probabilities), abs=1e-6)


def test_nobody_is_root_and_nothing_but_the_volume_is_writable(served: Served, model_id: str) -> None:
    for container in (served.server, served.trainer):
        script = (
            "id -u; touch /opt/ser/x /home/x 2>&1 | grep -c 'Read-only file system'; touch /var/lib/ser/x && echo ok"
        )
        assert container.exec_run(["sh", "-c", script]).output.decode().split() == ["10001", "2", "ok"]
    assert model_id in served.server.exec_run(["ls", "/var/lib/ser/models"]).output.decode()


def test_its_health_check_tells(served: Served) -> None:
    assert served.server.exec_run(["python", "-m", "ser_inference_server.health"]).exit_code == 0
    wrong = served.server.exec_run(["python", "-m", "ser_inference_server.health"], environment={"SER_HTTP_PORT": "1"})
    assert wrong.exit_code == 1


def test_sigterm_ends_both_within_ten_seconds_with_status_0(served: Served) -> None:
    # The last test of this file: the containers are gone after it.
    for container in (served.server, served.trainer):
        container.stop(timeout=10)  # kills after that, which has another status
        assert container.wait()["StatusCode"] == 0, container.logs(tail=20).decode()


def test_a_public_address_without_tokens_is_refused(engine: docker.DockerClient) -> None:
    status, said = run_to_end(engine, "server")
    assert status == 2
    assert "host: 0.0.0.0 is public" in said
