"""What is under way when the server is told to stop: long calls end, silent streams are told, health says so."""

from __future__ import annotations

import asyncio
import http.client
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import filelock
import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from ser.bundles.bundle import Bundle
from ser_api.v1 import ser_pb2
from ser_inference_server import grpc_server
from ser_inference_server.calls import Calls
from ser_inference_server.gateway.app import Gateway
from ser_inference_server.http_server import create_server
from ser_inference_server.jobs.queue import JobQueue
from ser_inference_server.settings import Settings
from tests.deadlines import tries
from tests.forgery import copy_as
from tests.inference_server.callers import waiting
from tests.inference_server.harness import Server, serve, status_of
from tests.signals import tone, wav

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def home(adaptive: Bundle, tmp_path: Path) -> Path:
    shutil.copytree(adaptive.folder, tmp_path / "models" / adaptive.manifest.model_id)
    copy_as(adaptive.folder, tmp_path / "models" / "other")
    (tmp_path / "models" / ".speakers").mkdir()
    return tmp_path


@pytest.fixture
def model_id(adaptive: Bundle) -> str:
    return adaptive.manifest.model_id


def in_flight(client: httpx.Client) -> int:
    text = client.get("/metrics").text
    return int(float(text.partition('ser_calls_in_flight{kind="short"} ')[2].partition("\n")[0] or 0))


def test_calls_under_way_are_answered_and_health_says_that_the_server_stops(home: Path, model_id: str) -> None:
    """Two calls wait for locks that the test holds, until long after the signal."""
    with (
        serve(home) as server,
        server.client() as client,
        server.stub() as stub,
        grpc.insecure_channel(server.grpc, [("grpc.use_local_subchannel_pool", 1)]) as channel,
        filelock.FileLock(home / "models" / ".speakers" / f".{model_id}.lock") as speakers,
        filelock.FileLock(home / "models" / ".other.lock") as other,
        ThreadPoolExecutor(2) as pool,
    ):
        health = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=120)
        assert next(health).status == SERVING
        clip = ser_pb2.EnrollSpeakerRequest(model_id=model_id, speaker="anna", clips=[wav(tone(1.0))])
        enrolling = pool.submit(stub.EnrollSpeaker, clip)
        deleting = pool.submit(httpx.delete, f"{server.http}/models/other", timeout=60, trust_env=False)
        for _ in tries():
            if in_flight(client) == 2:
                break
        server.process.terminate()
        assert next(health).status == NOT_SERVING  # balancers send nothing more
        assert not enrolling.done()
        assert not deleting.done()
        speakers.release()
        other.release()
        assert enrolling.result(60).enrolled_clips == 1
        assert deleting.result(60).status_code == 200
        assert server.process.wait(60) == 0
    assert not (home / "models" / "other").exists()


@pytest.mark.parametrize(("grace", "left"), [(20.0, 19), (10.0, 9), (0.5, 1)])
def test_calls_have_the_whole_time_of_grace_to_end(tmp_path: Path, grace: float, left: int) -> None:
    """What is left of it once requests that were on their way have been taken, in whole seconds, as uvicorn has it."""
    settings = Settings(data_root=str(tmp_path), model_root=str(tmp_path), grace_seconds=grace)
    assert create_server(None, settings).config.timeout_graceful_shutdown == left


def test_streams_that_say_nothing_are_told_at_once(home: Path, model_id: str) -> None:
    """Within the time of grace, which is longer here than the test waits."""
    stopped = threading.Event()
    with serve(home, grace_seconds=600) as server, server.stub() as stub:
        call = stub.StreamPredict(waiting(model_id, stopped))
        next(call)
        with connect(f"{server.http.replace('http', 'ws')}/predict/stream") as socket:
            socket.send(f'{{"config": {{"model_id": "{model_id}"}}}}')
            socket.send(b"\1\1" * 16_000 * 4)
            socket.recv(60)
            server.process.terminate()
            with pytest.raises(grpc.RpcError) as ended:
                list(call)
            assert ended.value.code() is grpc.StatusCode.UNAVAILABLE  # type: ignore[attr-defined]
            assert "the server is stopping; open the stream again" in status_of(ended.value).message
            with pytest.raises(ConnectionClosedError, match="the server is stopping; open the stream again"):
                list(socket)
        assert server.process.wait(60) == 0
        stopped.set()


def test_readiness_says_that_the_server_stops_and_liveness_that_it_lives(tmp_path: Path) -> None:
    async def asked() -> list[tuple[int, str]]:
        settings = Settings(data_root=str(tmp_path), model_root=str(tmp_path))
        calls, jobs = Calls(settings), JobQueue(settings.jobs_path)
        gateway = Gateway(grpc_server.SERVICE, object(), calls, jobs, settings)
        transport = httpx.ASGITransport(gateway, client=("127.0.0.1", 1))  # type: ignore[arg-type]
        found = []
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:5000") as client:
            for stopping in (False, True):
                if stopping:
                    calls.stopping.set()
                for path in ("/readyz", "/healthz"):
                    answer = await client.get(path)
                    found.append((answer.status_code, answer.json()["status"]))
        jobs.close()
        return found

    assert asyncio.run(asked()) == [(200, "ready"), (200, "alive"), (503, "stopping"), (200, "alive")]


def test_a_caller_that_is_gone_ends_its_stream(server: Server) -> None:
    """A socket that is cut without a close is no stream any more."""
    host = server.http.removeprefix("http://")
    before = None
    with server.client() as client:
        before = streams(client)
        caller = http.client.HTTPConnection(host, timeout=60)
        caller.request("GET", "/predict/stream", headers={
            "connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13",
            "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
        })  # fmt: skip
        for _ in tries():
            if streams(client) == before + 1:
                break
        assert caller.sock is not None
        caller.sock.close()
        for _ in tries():
            if streams(client) == before:
                break


def streams(client: httpx.Client) -> int:
    text = client.get("/metrics").text
    return int(float(text.partition('ser_calls_in_flight{kind="long"} ')[2].partition("\n")[0] or 0))
