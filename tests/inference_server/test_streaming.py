"""Prediction while somebody speaks, over gRPC and over a WebSocket."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from ser.bundles.bundle import Bundle
from ser_api.v1 import ser_pb2
from tests.deadlines import tries
from tests.inference_server.harness import Server, serve, status_of
from tests.signals import tone

RATE_HZ = 8_000
SECONDS = 5.5


def pcm() -> bytes:
    samples = tone(SECONDS, RATE_HZ) * np.linspace(0.2, 1, round(SECONDS * RATE_HZ))
    samples[: 2 * RATE_HZ] = 0
    return (samples * 32_767).astype("<i2").tobytes()


def config(model_id: str) -> dict[str, Any]:
    return {"model_id": model_id, "sample_rate_hz": RATE_HZ, "window_seconds": 2, "hop_seconds": 1}


def requests(model_id: str, chunk: int = 1_001 * 2) -> Iterator[ser_pb2.StreamPredictRequest]:
    yield ser_pb2.StreamPredictRequest(config=ser_pb2.StreamConfig(**config(model_id)))
    data = pcm()
    for start in range(0, len(data), chunk):
        yield ser_pb2.StreamPredictRequest(pcm=data[start : start + chunk])


def test_windows_come_while_the_stream_goes_on(server: Server, model_id: str) -> None:
    with server.stub() as stub:
        answers = list(stub.StreamPredict(requests(model_id)))
        whole = list(stub.StreamPredict(requests(model_id, chunk=10**6)))
    spans = [(answer.start_seconds, answer.end_seconds) for answer in answers]
    assert spans == [(0, 2), (1, 3), (2, 4), (3, 5), (4, 5.5)]
    assert [answer.silence for answer in answers] == [True, False, False, False, False]
    assert answers[0].prediction == ""
    assert answers[0].model.model_id == model_id
    assert not answers[1].HasField("model")
    for answer in answers[1:]:
        assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert max(answer.probabilities, key=lambda label: answer.probabilities[label]) == answer.prediction
    assert answers == whole  # however the samples are cut


def test_an_answer_does_not_wait_for_the_end(server: Server, model_id: str) -> None:
    def endless() -> Iterator[ser_pb2.StreamPredictRequest]:
        yield from requests(model_id)
        while not done:
            yield ser_pb2.StreamPredictRequest(pcm=b"\0\0" * 100)

    done = False
    with server.stub() as stub:
        call = stub.StreamPredict(endless())
        assert next(call).end_seconds == 2
        assert next(call).end_seconds == 3
        done = True
        call.cancel()


def test_a_websocket_says_the_same(server: Server, model_id: str) -> None:
    with server.stub() as stub:
        expected = list(stub.StreamPredict(requests(model_id)))
    with connect(f"{server.http.replace('http', 'ws')}/predict/stream") as socket:
        socket.send(json.dumps({"config": config(model_id)}))
        data = pcm()
        for start in range(0, len(data), 16_000):
            socket.send(data[start : start + 16_000])
        socket.send("")
        answers = [json.loads(message) for message in socket]
    assert [(a["start_seconds"], a["end_seconds"]) for a in answers] == [
        (a.start_seconds, a.end_seconds) for a in expected
    ]
    for answer, other in zip(answers, expected, strict=True):
        assert answer["probabilities"] == pytest.approx(dict(other.probabilities))
    assert answers[0]["model"]["model_id"] == model_id


@pytest.mark.parametrize(
    ("first", "says"),
    [
        ({"config": {"model_id": "none"}}, "no model"),
        ({"pcm": "AAAA"}, "config"),
        ({"config": {"model_id": "MODEL", "hop_seconds": 0}}, "config.hop_seconds"),
        ({"config": {"model_id": "MODEL", "colour": 1}}, "config.colour"),
        ({"config": {"model_id": "MODEL"}, "pcm": "AAAA"}, "instead of config"),
    ],
)
def test_a_wrong_beginning_is_told_of_and_the_socket_closed(
    server: Server, model_id: str, first: dict[str, Any], says: str
) -> None:
    text = json.dumps(first).replace("MODEL", model_id)
    with connect(f"{server.http.replace('http', 'ws')}/predict/stream") as socket:
        socket.send(text)
        error = json.loads(socket.recv())["error"]
        assert says in error["message"]
        assert error["code"] in (3, 5)
        with pytest.raises(ConnectionClosed):
            socket.recv()


def test_half_a_sample_and_a_second_config_are_refused(server: Server, model_id: str) -> None:
    first = ser_pb2.StreamPredictRequest(config=ser_pb2.StreamConfig(**config(model_id)))
    with server.stub() as stub:
        for wrong, says in ((ser_pb2.StreamPredictRequest(pcm=b"odd"), "whole 16-bit"), (first, "samples in every")):
            with pytest.raises(grpc.RpcError) as failed:
                list(stub.StreamPredict(iter([first, wrong])))
            assert says in status_of(failed.value).message


def test_a_page_of_another_site_cannot_listen(server: Server) -> None:
    with (
        pytest.raises(InvalidStatus),
        connect(f"{server.http.replace('http', 'ws')}/predict/stream", origin="https://elsewhere.example"),
    ):
        pass


def frame(opcode: int, payload: bytes = b"") -> bytes:
    """A WebSocket frame as a client sends it, masked with zeros."""
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


@pytest.mark.parametrize("first", [frame(0x3), frame(0x8), b"\xff\xff\xff\xff", frame(0x1, b"no \xff UTF-8")])
@pytest.mark.parametrize("then", [frame(0x3), frame(0x8), frame(0x1, b"{}"), frame(0x1, b"\xff"), b"\xff" * 1_000])
def test_bytes_after_the_end_of_a_websocket_end_the_connection_and_are_no_error(
    server: Server, first: bytes, then: bytes
) -> None:
    before = len(server.log.read_text())
    host, port = server.http.removeprefix("http://").split(":")
    head = (
        f"GET /predict/stream HTTP/1.1\r\nhost: {host}:{port}\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=30) as caller:
        caller.sendall(head.encode())
        assert caller.recv(10_000).startswith(b"HTTP/1.1 101")
        with contextlib.suppress(ConnectionError):
            caller.sendall(first)
            for _ in range(3):
                caller.sendall(then)
            for _ in tries():
                if not caller.recv(10_000):  # the server has ended it
                    break
    with server.client() as client:
        assert client.get("/healthz").status_code == 200
    logged = server.log.read_text()[before:]
    assert "Fatal error" not in logged
    assert "Traceback" not in logged


def test_a_message_on_a_websocket_is_bounded_as_any_other(tmp_path: Path, bundle: Bundle) -> None:
    model_id = bundle.manifest.model_id
    shutil.copytree(bundle.folder, tmp_path / "models" / model_id)
    with serve(tmp_path, max_message_bytes=100_000) as server:
        for length, taken in ((100_000, True), (100_002, False)):
            with connect(f"{server.http.replace('http', 'ws')}/predict/stream") as socket:
                socket.send(json.dumps({"config": config(model_id)}))
                socket.send(b"\1\0" * (length // 2))
                if taken:
                    assert json.loads(socket.recv(60))["end_seconds"] == 2
                    continue
                with pytest.raises(ConnectionClosedError) as closed:
                    _end(socket)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1009


def _end(socket: ClientConnection) -> None:
    """Says that no more comes, which a server that took everything answers with its close."""
    socket.send("")
    list(socket)
