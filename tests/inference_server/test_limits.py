"""Too much at once, too large, too late: refused at once, and the server goes on."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import filelock
import grpc
import httpx
import pytest
from google.rpc import error_details_pb2

from ser.bundles.bundle import Bundle
from ser_api.v1 import ser_pb2
from tests.deadlines import tries
from tests.forgery import copy_as
from tests.inference_server.callers import waiting
from tests.inference_server.harness import Server, serve, status_of
from tests.signals import tone, wav

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


def code_of(call: object) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as failed:
        call()  # type: ignore[operator]
    code: grpc.StatusCode = failed.value.code()  # type: ignore[attr-defined]
    return code


def test_too_large(server: Server, model_id: str) -> None:
    long, large = wav(tone(21.0)), b"\0" * (5 << 20)
    with server.client() as client, server.stub() as stub:
        for audio in (long, large):
            answer = client.post("/predict", files={"audio": audio}, data={"model_id": model_id})
            assert (answer.status_code, answer.json()["code"]) == (413, EXHAUSTED.value[0])
            assert code_of(
                lambda audio=audio: stub.Predict(ser_pb2.PredictRequest(model_id=model_id, audio=audio))
            ) is (EXHAUSTED)
        assert "20 s" in client.post("/predict", files={"audio": long}, data={"model_id": model_id}).json()["message"]
        clips = [ser_pb2.Clip(audio=wav(tone(0.5)))] * 5
        assert code_of(lambda: stub.Predict(ser_pb2.PredictRequest(model_id=model_id, clips=clips))) is EXHAUSTED
        endless = client.post("/predict", content=(b"\0" * 65_536 for _ in range(100)))
        assert endless.status_code == 413


def test_a_length_that_is_declared_and_never_sent_is_refused_by_its_declaration(server: Server) -> None:
    host, port = server.http.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"POST /predict HTTP/1.1\r\nhost: {host}\r\ncontent-length: {1 << 30}\r\n\r\n".encode())
        assert connection.recv(10_000).startswith(b"HTTP/1.1 413")


def test_too_many_streams_and_calls(bundle: Bundle, tmp_path: Path, sample: str) -> None:
    model_id = bundle.manifest.model_id
    shutil.copytree(bundle.folder, tmp_path / "models" / model_id)
    done = threading.Event()

    with serve(tmp_path, max_streams=2, max_calls=2) as server, server.stub() as stub, server.client() as client:
        held = [stub.StreamPredict(waiting(model_id, done)) for _ in range(2)]
        for call in held:
            next(call)
        with pytest.raises(grpc.RpcError) as failed:
            list(stub.StreamPredict(waiting(model_id, done)))
        assert failed.value.code() is EXHAUSTED  # type: ignore[attr-defined]
        assert dict(failed.value.trailing_metadata())["retry-after"] == "1"  # type: ignore[attr-defined]
        retry = error_details_pb2.RetryInfo()
        assert any(detail.Unpack(retry) for detail in status_of(failed.value).details)
        assert retry.retry_delay.seconds == 1
        refused = client.post("/train", json=server.request())
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        # Short calls have a limit of their own.
        body = {"model_id": model_id, "sample_name": sample}
        assert client.post("/predict", json=body).status_code == 200
        done.set()
        for call in held:
            list(call)


def test_calls_that_have_come_are_counted_and_bodies_on_their_way_are_not(
    bundle: Bundle, tmp_path: Path, sample: str
) -> None:
    model_id = bundle.manifest.model_id
    for name in (model_id, "other"):
        copy_as(bundle.folder, tmp_path / "models" / name)
    body = {"model_id": model_id, "sample_name": sample}
    with (
        serve(tmp_path, max_calls=2) as server,
        server.stub() as stub,
        server.client() as client,
        ThreadPoolExecutor(2) as pool,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(10):
            stack.enter_context(slow_body(server))
        assert client.post("/predict", json=body).status_code == 200
        with filelock.FileLock(tmp_path / "models" / ".other.lock"):  # calls that wait until the test lets them go
            waiting = [pool.submit(client.delete, "/models/other") for _ in range(2)]
            # Both have their places, beside the ten bodies on their way, before anything else asks for one.
            for _ in tries():
                if 'ser_calls_in_flight{kind="short"} 12.0' in client.get("/metrics").text:
                    break
            answer = client.post("/predict", json=body)
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
            assert "SER_MAX_CALLS" in answer.json()["message"]
            assert code_of(lambda: stub.Predict(ser_pb2.PredictRequest(**body))) is EXHAUSTED
        assert {call.result(60).status_code for call in waiting} <= {200, 404}  # whoever came second
        assert client.post("/predict", json=body).status_code == 200


class slow_body:  # noqa: N801 - a context manager
    """A call whose head has been read and whose body does not come."""

    def __init__(self, server: Server) -> None:

        host, port = server.http.removeprefix("http://").split(":")
        self._socket = socket.create_connection((host, int(port)))
        head = f"POST /predict HTTP/1.1\r\nhost: {host}:{port}\r\ncontent-length: 100\r\nexpect: 100-continue\r\n\r\n"
        self._socket.sendall(head.encode())
        assert self._socket.recv(100).startswith(b"HTTP/1.1 100")  # the body is waited for

    def __enter__(self) -> slow_body:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()


def test_a_body_that_dawdles_and_a_head_that_does_not_come_are_ended(tmp_path: Path) -> None:

    with serve(tmp_path, max_body_seconds=0.5) as server:
        host, port = server.http.removeprefix("http://").split(":")
        with slow_body(server) as slow:
            assert slow._socket.recv(10_000).startswith(b"HTTP/1.1 408")
        for sent in (b"", b"GET /readyz HT"):
            with socket.create_connection((host, int(port))) as connection:
                connection.settimeout(20)
                connection.sendall(sent)
                assert connection.recv(100) == b""


def test_deadlines_are_kept(server: Server, model_id: str) -> None:
    clips = [ser_pb2.Clip(audio=wav(tone(19.0, 8_000), 8_000))] * 4
    request = ser_pb2.PredictRequest(model_id=model_id, clips=clips)
    with server.stub() as stub, server.client() as client:
        assert code_of(lambda: stub.Predict(request, timeout=0.002)) is grpc.StatusCode.DEADLINE_EXCEEDED
        form = [("clips", clip.audio) for clip in clips]
        late = client.post("/predict", files=form, data={"model_id": model_id}, headers={"x-request-timeout": "0.002"})
        assert (late.status_code, late.json()["code"]) == (504, grpc.StatusCode.DEADLINE_EXCEEDED.value[0])


def test_many_connections_at_once_are_bounded_and_the_server_goes_on(tmp_path: Path) -> None:

    with serve(tmp_path, max_connections=50) as server, server.client() as client:
        assert client.get("/readyz").status_code == 200
        host, port = server.http.removeprefix("http://").split(":")
        connections = [socket.create_connection((host, int(port))) for _ in range(400)]
        try:
            refused = connections[-1].recv(1_000)
            assert refused.startswith(b"HTTP/1.1 429")
            assert b"retry-after: 1" in refused
            assert client.get("/readyz").status_code == 200  # by the connection that was there before
        finally:
            for connection in connections:
                connection.close()
        for _ in tries():
            try:
                if httpx.get(f"{server.http}/readyz", trust_env=False).status_code == 200:
                    break
            except httpx.TransportError:
                continue


def test_sigterm_lets_calls_end_and_ends_what_waits(bundle: Bundle, tmp_path: Path) -> None:
    model_id = bundle.manifest.model_id
    shutil.copytree(bundle.folder, tmp_path / "models" / model_id)
    with serve(tmp_path) as server, server.stub() as stub, server.client() as client, ThreadPoolExecutor(4) as pool:
        audio = wav(tone(590.0, 8_000), 8_000)
        files = {"audio": audio}
        under_way = [pool.submit(client.post, "/predict", files=files, data={"model_id": model_id}) for _ in range(2)]
        training = client.post("/jobs", json=server.request(model_config={"epochs": 50_000})).json()["job_id"]
        watch = stub.WatchTrainingJob(ser_pb2.WatchTrainingJobRequest(job_id=training))
        for _ in tries():
            if next(watch).state == ser_pb2.TrainingJob.RUNNING:
                break
        for _ in tries():
            if 'rpc="Predict"' in client.get("/metrics").text or under_way[0].done():
                break
        assert server.stop() == 0
        assert [call.result(60).status_code for call in under_way] == [200, 200]
        with pytest.raises(grpc.RpcError) as ended:
            list(watch)
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE  # type: ignore[attr-defined]
