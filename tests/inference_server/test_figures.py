"""What the server tells of itself: every metric's value after known calls, every page of its lists, signs of life."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ser.bundles.bundle import Bundle
from ser_api.v1 import ser_pb2
from ser_inference_server import metrics
from ser_inference_server.gateway import app
from tests.inference_server.harness import Server, serve
from tests.signals import tone, wav

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def alone(bundle: Bundle, tmp_path: Path) -> Iterator[Server]:
    """A server that nobody has called yet; jobs wait for ever there."""
    for name in ("one", "other"):
        target = tmp_path / "models" / (bundle.manifest.model_id if name == "one" else "other")
        shutil.copytree(bundle.folder, target)
    with serve(tmp_path, workers=2, training_slots=0, max_clips=3) as server:
        yield server


def told(text: str) -> Samples:
    """Name and labels of each figure to its value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def one(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, tuple(sorted(labels.items()))))


def test_every_metric_has_the_value_that_known_calls_give_it(alone: Server, bundle: Bundle, sample: str) -> None:
    model_id = bundle.manifest.model_id
    with alone.client() as client, alone.stub() as stub:
        for _ in range(3):
            assert client.post("/predict", json={"model_id": model_id, "sample_name": sample}).status_code == 200
        assert client.post("/predict", json={"model_id": "none", "sample_name": sample}).status_code == 404
        clips = [ser_pb2.Clip(audio=wav(tone(seconds))) for seconds in (1.0, 2.5)]
        for _ in range(2):
            stub.Predict(ser_pb2.PredictRequest(model_id=model_id, clips=clips))
        assert client.post("/jobs", json=alone.request()).status_code == 200
        assert client.post("/jobs", json=alone.request(random_state=7)).status_code == 200
        job_id = client.get("/jobs").json()["jobs"][0]["job_id"]
        client.post(f"/jobs/{job_id}:cancel").raise_for_status()
        first, second = (told(client.get("/metrics").text) for _ in range(2))
    for samples in (first, second):  # whichever worker answers tells of both, and asking counts for nothing
        calls = {
            (("code", "OK"), ("protocol", "http"), ("rpc", "Predict")): 3,
            (("code", "NOT_FOUND"), ("protocol", "http"), ("rpc", "Predict")): 1,
            (("code", "OK"), ("protocol", "grpc"), ("rpc", "Predict")): 2,
            (("code", "OK"), ("protocol", "http"), ("rpc", "StartTraining")): 2,
            (("code", "OK"), ("protocol", "http"), ("rpc", "ListTrainingJobs")): 1,
            (("code", "OK"), ("protocol", "http"), ("rpc", "CancelTrainingJob")): 1,
        }
        assert {labels: value for (name, labels), value in samples.items() if name == "ser_calls_total"} == calls
        for protocol, count in (("http", 4), ("grpc", 2)):
            assert one(samples, "ser_call_seconds_count", rpc="Predict", protocol=protocol) == count
            total = one(samples, "ser_call_seconds_sum", rpc="Predict", protocol=protocol)
            assert total is not None
            assert 0 < total < 60
        assert one(samples, "ser_calls_in_flight", kind="short") == 0
        assert one(samples, "ser_audio_seconds_total") == pytest.approx(2 * 3.5)
        assert one(samples, "ser_models_loaded") in (1, 2)  # each worker has its own
        jobs = {labels[0][1]: value for (name, labels), value in samples.items() if name == "ser_jobs"}
        assert jobs == {"QUEUED": 1, "RUNNING": 0, "SUCCEEDED": 0, "FAILED": 0, "CANCELLED": 1}
    # Every metric that there is was looked at above.
    known = {"ser_calls", "ser_call_seconds", "ser_calls_in_flight", "ser_models_loaded", "ser_audio_seconds"}
    assert {value._name for value in vars(metrics).values() if hasattr(value, "_name")} == known


def test_pages_of_jobs_have_each_job_once_the_newest_first(alone: Server) -> None:
    with alone.client() as client, alone.stub() as stub:
        ids = [client.post("/jobs", json=alone.request(random_state=n)).json()["job_id"] for n in range(5)]
        found: list[list[str]] = []
        token = ""
        for _ in range(3):
            page = client.get("/jobs", params={"page_size": 2, "page_token": token}).json()
            reply = stub.ListTrainingJobs(ser_pb2.ListTrainingJobsRequest(page_size=2, page_token=token))
            found.append([job["job_id"] for job in page["jobs"]])
            assert [job.job_id for job in reply.jobs] == found[-1]
            assert reply.next_page_token == page["next_page_token"]
            token = page["next_page_token"]
        assert token == ""  # there is no fourth
        assert found == [[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]]]
        whole = client.get("/jobs", params={"page_size": 5}).json()
        assert (len(whole["jobs"]), whole["next_page_token"]) == (5, "")


def test_an_event_stream_that_has_nothing_to_say_gives_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies cut a connection on which nothing comes; each message still comes once, and in order."""
    monkeypatch.setattr(app, "_SECONDS_BETWEEN_SIGNS_OF_LIFE", 0.01)
    sent: list[dict[str, Any]] = []
    spoken = asyncio.Event()

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)
        if event.get("body") == b": still here\n\n":
            spoken.set()

    async def messages() -> AsyncIterator[Any]:
        yield ser_pb2.TrainingJob(job_id="a", state=ser_pb2.TrainingJob.QUEUED)
        await asyncio.wait_for(spoken.wait(), 60)
        yield ser_pb2.TrainingJob(job_id="a", state=ser_pb2.TrainingJob.SUCCEEDED)

    asyncio.run(app._send_events(messages(), send, "an-id"))
    headers = dict(sent[0]["headers"])
    assert headers[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"x-accel-buffering"] == b"no"
    text = b"".join(event.get("body", b"") for event in sent[1:]).decode()
    assert re.sub(r"(: still here\n\n)+", "~", text).count("~") == 1
    states = re.findall(r'data: .*"state": "([A-Z]+)"', text)
    assert states == ["QUEUED", "SUCCEEDED"]
    assert sent[-1].get("more_body", False) is False
