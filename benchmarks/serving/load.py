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
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main() -> None:
    """Prints the milliseconds of each call, and the last answer."""
    order = json.load(sys.stdin)
    times: list[list[float]] = [[] for _ in range(order["callers"])]
    answers: list[bytes] = [b""] * order["callers"]
    end = time.perf_counter() + order["seconds"]
    ready = threading.Barrier(order["callers"])

    def call_until_end(number: int) -> None:
        call = caller(order)
        answers[number] = call()
        ready.wait()
        while True:
            started = time.perf_counter()
            call()
            now = time.perf_counter()
            times[number].append(1e3 * (now - started))
            if now > end:
                return

    threads = [threading.Thread(target=call_until_end, args=(number,)) for number in range(order["callers"])]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    together = [one for caller in times for one in caller]
    json.dump({"milliseconds": together, "seconds": seconds, "answer": answers[0].decode()}, sys.stdout)


def caller(order: dict[str, Any]) -> Callable[[], bytes]:
    """A connection, as a function that calls once and gives the answer's body."""
    body = Path(order["clip"]).read_bytes()
    if order["protocol"] == "grpc":
        return _grpc_caller(order, body)
    connection = socket.create_connection(("127.0.0.1", order["port"]))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = f"POST {order['path']} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: audio/wav\r\ncontent-length: {len(body)}"
    request = f"{head}\r\n\r\n".encode() + body

    def call() -> bytes:
        nonlocal connection
        connection.sendall(request)
        answer = _answer(connection)
        if answer is None:  # a server that closes after each answer, as Flask's: open anew, and pay for it
            connection = socket.create_connection(("127.0.0.1", order["port"]))
            connection.sendall(request)
            answer = _answer(connection)
        if answer is None:
            raise ConnectionError("the server closed the connection twice")
        return answer

    return call


def _answer(connection: socket.socket) -> bytes | None:
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(65_536)
        if not part:
            return None
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    if b" 200 " not in lines[0] + b" ":
        raise ConnectionError(received[:500].decode(errors="replace"))
    length = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))
    while len(body) < length:
        body += connection.recv(65_536)
    return body


def _grpc_caller(order: dict[str, Any], body: bytes) -> Callable[[], bytes]:
    import grpc

    channel = grpc.insecure_channel(f"127.0.0.1:{order['port']}", [("grpc.use_local_subchannel_pool", 1)])
    if order["path"] == "Baseline":
        call: Any = channel.unary_unary("/Baseline/Predict")
        return lambda: bytes(call(body))
    from google.protobuf import json_format

    from ser_api.v1 import ser_pb2, ser_pb2_grpc

    stub = ser_pb2_grpc.SpeechEmotionRecognitionStub(channel)
    request = ser_pb2.PredictRequest(model_id=order["path"], audio=body)
    first = json_format.MessageToJson(stub.Predict(request)).encode()

    def predict() -> bytes:
        stub.Predict(request)
        return first

    return predict


if __name__ == "__main__":
    main()
