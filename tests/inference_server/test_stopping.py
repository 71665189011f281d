"""SIGTERM under load: everybody who has been heard is answered, everybody else is refused."""

from __future__ import annotations

import concurrent.futures
import contextlib
import shutil
import socket
import threading
from pathlib import Path

import grpc
import pytest

from ser.bundles.bundle import Bundle
from ser_api.v1 import ser_pb2, ser_pb2_grpc
from ser_client.channel import Connection
from ser_inference_server.ports import listen, refuse_newcomers
from tests.inference_server.callers import calling
from tests.inference_server.harness import Server, serve


@pytest.fixture
def home(bundle: Bundle, tmp_path: Path) -> Path:
    shutil.copytree(bundle.folder, tmp_path / "models" / bundle.manifest.model_id)
    return tmp_path


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("keep_alive", [True, False])
def test_no_call_is_cut_off_by_sigterm(home: Path, bundle: Bundle, sample: str, workers: int, keep_alive: bool) -> None:
    body = {"model_id": bundle.manifest.model_id, "sample_name": sample}
    with listen("http_port", "127.0.0.1", 0) as listener:
        kept_out = refuse_newcomers(listener)
    for _ in range(3):
        with (
            serve(home, workers=workers) as server,
            calling(server, body, callers=8, keep_alive=keep_alive) as seen,
        ):
            seen.wait_for_answers(100)
            assert server.stop() == 0
        assert not [call for call in seen.outcomes if call.status not in (200, None)]
        unanswered = [call for call in seen.failed if call.connected]
        assert not unanswered, f"{len(unanswered)} of {len(seen.outcomes)} calls: {unanswered[:3]}"
        if keep_alive:
            last = sum(call.last for call in seen.outcomes)
            assert last == 8 if kept_out else last >= 8  # whoever is let in is told as well that it was the last
        assert any("refused" in call.error for call in seen.failed)


def test_what_waits_in_the_backlog_is_answered_when_the_server_stops(home: Path) -> None:
    with serve(home, workers=1) as server:
        host, port = server.http.removeprefix("http://").split(":")
        with contextlib.ExitStack() as stack:
            # None has sent anything when the server begins to stop.
            callers = [stack.enter_context(socket.create_connection((host, int(port)))) for _ in range(50)]
            server.process.terminate()
            request = f"GET /healthz HTTP/1.1\r\nhost: {host}:{port}\r\n\r\n".encode()
            for caller in callers:
                caller.sendall(request)
            for caller in callers:
                caller.settimeout(30)
                answer = caller.recv(10_000)
                assert answer.startswith(b"HTTP/1.1 200"), answer
        assert server.process.wait(30) == 0


@pytest.mark.parametrize("own_client", [False, True])
def test_calls_over_grpc_end_well_or_were_never_taken(
    home: Path, bundle: Bundle, sample: str, own_client: bool
) -> None:
    request = ser_pb2.PredictRequest(model_id=bundle.manifest.model_id, sample_name=sample)
    good = threading.Semaphore(0)

    def call(server: Server) -> grpc.RpcError:
        options = [*(Connection(server.grpc).options if own_client else ()), ("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(server.grpc, options) as channel:
            stub = ser_pb2_grpc.SpeechEmotionRecognitionStub(channel)
            while True:
                try:
                    assert stub.Predict(request, timeout=30).prediction
                except grpc.RpcError as error:
                    return error
                good.release()

    with serve(home, workers=2) as server, concurrent.futures.ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(call, server) for _ in range(8)]
        for _ in range(100):
            assert good.acquire(timeout=30)
        assert server.stop() == 0
        for ended in calls:
            # gRPC itself cancels a call that comes between the signal and the moment in which its caller hears of it.
            # SER's client sends it again.
            allowed = {grpc.StatusCode.UNAVAILABLE} | (set() if own_client else {grpc.StatusCode.CANCELLED})
            assert ended.result().code() in allowed, ended.result()  # type: ignore[attr-defined]
