"""SIGTERM while calls are open: those under way end well, those that say nothing are told, who watches is told."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import filelock
import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from inference_server.calls import Calls
from inference_server.gateway.app import Gateway
from inference_server.grpc_server import SERVICE
from inference_server.jobs.queue import JobQueue
from inference_server.service import SpeechEmotionRecognition
from inference_server.settings import Settings
from ser.bundle import Bundle
from ser_api.v1 import ser_pb2
from tests.deadlines import tries
from tests.inference_server.harness import Server, serve
from tests.signals import tone, wav


@pytest.fixture
def home(adaptive: Bundle, tmp_path: Path) -> Path:
    shutil.copytree(adaptive.folder, tmp_path / "models" / adaptive.manifest.model_id)
    (tmp_path / "models" / ".speakers").mkdir()
    return tmp_path


def under_way(server: Server, kind: str, number: int) -> None:
    with server.client() as client:
        for _ in tries(30):
            lines = client.get("/metrics").text.splitlines()
            found = [line for line in lines if line.startswith("ser_calls_in_flight") and f'"{kind}"' in line]
            if sum(float(line.split()[-1]) for line in found) >= number:
                return


def test_calls_under_way_end_well_and_health_says_that_no_more_are_taken(home: Path, adaptive: Bundle) -> None:
    model_id, audio = adaptive.manifest.model_id, wav(tone(1.0))
    with (
        serve(home, workers=1, grace_seconds=20) as server,
        server.stub() as stub,
        server.client() as client,
        grpc.insecure_channel(server.grpc) as channel,
        ThreadPoolExecutor(2) as pool,
        filelock.FileLock(home / "models" / ".speakers" / f".{model_id}.lock") as held,
    ):
        watches = [
            health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=name), timeout=60)
            for name in ("", "ser.v1.SpeechEmotionRecognition")
        ]
        for watch in watches:
            assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        request = ser_pb2.EnrollSpeakerRequest(model_id=model_id, speaker="anna", clips=[audio])
        over_grpc = pool.submit(stub.EnrollSpeaker, request)
        path = f"/models/{model_id}/speakers"
        over_http = pool.submit(client.post, path, files={"clips": audio}, data={"speaker": "bert"})
        under_way(server, "short", 2)
        server.process.terminate()
        for watch in watches:
            assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
            watch.cancel()
        time.sleep(3.0)  # calls are under way for longer than a moment
        held.release()
        assert over_grpc.result(60).enrolled_clips == 1
        assert over_http.result(60).status_code == 200, over_http.result().text
        assert server.process.wait(60) == 0


def test_readiness_over_http_ends_when_the_stop_begins_and_liveness_does_not(tmp_path: Path) -> None:
    settings = Settings(data_root=str(tmp_path / "data"), model_root=str(tmp_path / "models"))

    async def test() -> None:
        calls, jobs = Calls(settings), JobQueue(settings.jobs_path)
        service = SpeechEmotionRecognition(settings, calls, jobs)
        gateway: Any = Gateway(SERVICE, service, calls, jobs, settings)
        transport = httpx.ASGITransport(app=gateway)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:5000") as client:
            seen = [(await client.get(path)).status_code for path in ("/readyz", "/healthz")]
            calls.stopping.set()
            seen += [(await client.get(path)).status_code for path in ("/readyz", "/healthz")]
        service.close()
        jobs.close()
        assert seen == [200, 200, 503, 200]

    asyncio.run(test())


def test_streams_that_say_nothing_are_told_of_the_stop(home: Path, adaptive: Bundle) -> None:
    config = {"model_id": adaptive.manifest.model_id, "sample_rate_hz": 8_000}
    ends: list[str] = []
    with serve(home, workers=1, grace_seconds=60) as server, server.stub() as stub:
        went_down = False

        def silent() -> Iterator[ser_pb2.StreamPredictRequest]:
            yield ser_pb2.StreamPredictRequest(config=ser_pb2.StreamConfig(**config))
            for _ in tries():
                if went_down:
                    return

        call = stub.StreamPredict(silent())
        with connect(f"{server.http.replace('http', 'ws')}/predict/stream") as page:
            page.send(json.dumps({"config": config}))
            under_way(server, "long", 2)
            server.process.terminate()
            told = json.loads(page.recv(30))["error"]
            assert "the server is stopping; open the stream again" in told["message"]
            assert told["code"] == grpc.StatusCode.UNAVAILABLE.value[0]
            with pytest.raises(ConnectionClosed):
                page.recv(30)
        with pytest.raises(grpc.RpcError) as failed:
            ends.extend(call)
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE  # type: ignore[attr-defined]
        assert "the server is stopping; open the stream again" in failed.value.details()  # type: ignore[attr-defined]
        went_down = True
        assert server.process.wait(30) == 0  # long before the grace ends
