"""A load generator in a process of its own: `python -m benchmarks.serving.load`, its order as JSON on stdin.

Requests are the same bytes again and again over connections that stay open, so that the generator takes as little as
it can of a processor that it shares with the server.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

_SECONDS_TO_ANSWER = 60.0


def main() -> None:
    """Prints the milliseconds of each call, and the last answer."""
    order = json.load(sys.stdin)
    ready = threading.Barrier(order["callers"] + 1)

    def call_until_end() -> tuple[list[float], bytes]:
        try:
            call = caller(order)
            answer = call()
        except BaseException:
            ready.abort()
            raise
        ready.wait()
        times = []
        end = time.perf_counter() + order["seconds"]
        while True:
            started = time.perf_counter()
            call()
            now = time.perf_counter()
            times.append(1e3 * (now - started))
            if now > end:
                return times, answer

    with ThreadPoolExecutor(order["callers"]) as threads:
        futures = [threads.submit(call_until_end) for _ in range(order["callers"])]
        with suppress(threading.BrokenBarrierError):  # a future has the reason
            ready.wait()
        started = time.perf_counter()
    seconds = time.perf_counter() - started
    for future in futures:
        error = future.exception()
        if error is not None and not isinstance(error, threading.BrokenBarrierError):
            raise error
    found = [future.result() for future in futures]
    together = [one for times, _ in found for one in times]
    json.dump({"milliseconds": together, "seconds": seconds, "answer": found[0][1].decode()}, sys.stdout)


def caller(order: dict[str, Any]) -> Callable[[], bytes]:
    """A connection, as a function that calls once and gives the answer's body."""
    body = Path(order["clip"]).read_bytes()
    if order["protocol"] == "grpc":
        return _grpc_caller(order, body)
    kind = "audio/wav"
    if order["protocol"] == "json":
        kind, body = "application/json", json.dumps({"audio": b64encode(body).decode()}).encode()
    head = f"POST {order['path']} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}"
    request = f"{head}\r\n\r\n".encode() + body
    connection: socket.socket | None = None

    def call() -> bytes:
        nonlocal connection
        if connection is None:
            connection = _connect(order["port"])
        connection.sendall(request)
        answer, closes = _answer(connection)
        if closes:  # as Flask's does after each answer: the next call opens anew, and pays for it
            connection.close()
            connection = None
        return answer

    return call


def _connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=_SECONDS_TO_ANSWER)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _answer(connection: socket.socket) -> tuple[bytes, bool]:
    """An answer's body, and whether the server closes the connection after it."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _received(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.lower().split(b"\r\n")
    if b" 200 " not in status + b" ":
        raise RuntimeError(received[:500].decode(errors="replace"))
    headers = {name: value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    while len(body) < int(headers[b"content-length"]):
        body += _received(connection)
    return body, headers.get(b"connection") == b"close"


def _received(connection: socket.socket) -> bytes:
    part = connection.recv(65_536)
    if not part:
        raise ConnectionError("the server closed the connection within an answer")
    return part


def _grpc_caller(order: dict[str, Any], body: bytes) -> Callable[[], bytes]:
    import grpc

    channel = grpc.insecure_channel(f"127.0.0.1:{order['port']}", [("grpc.use_local_subchannel_pool", 1)])
    if order["path"] == "Baseline":
        call: Any = channel.unary_unary("/Baseline/Predict")
        return lambda: bytes(call(body, timeout=_SECONDS_TO_ANSWER))
    from google.protobuf import json_format

    from ser_api.v1 import ser_pb2, ser_pb2_grpc

    stub = ser_pb2_grpc.SpeechEmotionRecognitionStub(channel)
    request = ser_pb2.PredictRequest(model_id=order["path"], audio=body)
    first = json_format.MessageToJson(stub.Predict(request, timeout=_SECONDS_TO_ANSWER)).encode()

    def predict() -> bytes:
        stub.Predict(request, timeout=_SECONDS_TO_ANSWER)
        return first

    return predict


if __name__ == "__main__":
    main()
