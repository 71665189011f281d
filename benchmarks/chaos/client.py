"""One caller's connections over both protocols, kept open, and what can be asked over them."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

import grpc
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from benchmarks.chaos.answers import BROKEN, LATE, OK, Answer, of_http, of_message, of_rpc_error
from benchmarks.server_process import ServerProcess
from ser_api.v1 import ser_pb2, ser_pb2_grpc

PATIENCE_SECONDS = 15.0
_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 300),
)


class Client:
    """Use it from one thread."""

    def __init__(self, server: ServerProcess, number: int) -> None:
        """Connects when it is first asked.

        Args:
            server: Whom to ask.
            number: Which caller this is.
        """
        self.number = number
        self.connected = time.monotonic()
        """When the connection in use last gave an answer."""
        self._server = server
        self._http: http.client.HTTPConnection | None = None
        self._channel = grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", _OPTIONS)
        self.stub = ser_pb2_grpc.SpeechEmotionRecognitionStub(self._channel)
        self._used = {"http": self.connected, "grpc": self.connected}

    def close(self) -> None:
        """Closes all."""
        self._channel.close()
        if self._http is not None:
            self._http.close()

    def http(self, verb: str, path: str, body: bytes = b"", kind: str = "application/json", **headers: str) -> Answer:
        """A call over HTTP."""
        self.connected = self._used["http"]
        if self._http is None:
            self._http = http.client.HTTPConnection("127.0.0.1", self._server.http_port, timeout=PATIENCE_SECONDS)
            self.connected = time.monotonic()
        try:
            self._http.request(verb, path, body, {"content-type": kind, **headers})
            response = self._http.getresponse()
            answer = of_http(response.status, response.headers.get("content-type", ""), response.read())
        except (OSError, http.client.HTTPException) as error:
            self._http.close()
            self._http = None
            self._used["http"] = time.monotonic()
            return Answer(
                LATE if isinstance(error, TimeoutError) else BROKEN, message=f"{type(error).__name__}: {error}"
            )
        if response.will_close:
            self._http.close()
            self._http = None
        self._used["http"] = time.monotonic()
        return answer

    def json(self, verb: str, path: str, content: Any) -> Answer:
        """The same with a body of JSON."""
        return self.http(verb, path, json.dumps(content).encode())

    def rpc(self, name: str, request: Any) -> Answer:
        """A unary call over gRPC."""
        self.connected = self._used["grpc"]
        try:
            answer = of_message(getattr(self.stub, name)(request, timeout=PATIENCE_SECONDS))
        except grpc.RpcError as error:
            answer = of_rpc_error(error)
        self._used["grpc"] = time.monotonic()
        return answer

    def stream(self, config: Mapping[str, Any], pcm: bytes, chunk: int) -> Answer:
        """A stream over gRPC."""

        def messages() -> Iterator[ser_pb2.StreamPredictRequest]:
            yield ser_pb2.StreamPredictRequest(config=ser_pb2.StreamConfig(**config))
            for start in range(0, len(pcm), chunk):
                yield ser_pb2.StreamPredictRequest(pcm=pcm[start : start + chunk])

        self.connected = self._used["grpc"]
        try:
            windows = [of_message(one).value for one in self.stub.StreamPredict(messages(), timeout=PATIENCE_SECONDS)]
            answer = Answer(OK, windows)
        except grpc.RpcError as error:
            answer = of_rpc_error(error)
        self._used["grpc"] = time.monotonic()
        return answer

    def socket(self, config: Mapping[str, Any], pcm: bytes, chunk: int) -> Answer:
        """The same over a WebSocket."""
        self.connected = time.monotonic()
        address = f"ws://127.0.0.1:{self._server.http_port}/predict/stream"
        try:
            with connect(address, proxy=None, open_timeout=PATIENCE_SECONDS, close_timeout=2) as stream:
                stream.send(json.dumps({"config": config}))
                for start in range(0, len(pcm), chunk):
                    stream.send(pcm[start : start + chunk])
                stream.send("")
                windows = [json.loads(one) for one in stream]
        except TimeoutError as error:
            return Answer(LATE, message=str(error))
        except (OSError, EOFError, WebSocketException) as error:
            return Answer(BROKEN, message=f"{type(error).__name__}: {error}")
        failed = [one["error"] for one in windows if "error" in one]
        if failed:
            return of_http(500, "json", json.dumps(failed[0]).encode())
        return Answer(OK, windows)

    def vanish(self, sent: bytes) -> Answer:
        """Sends something and goes without a word."""
        try:
            with socket.create_connection(("127.0.0.1", self._server.http_port), timeout=PATIENCE_SECONDS) as gone:
                gone.sendall(sent)
        except OSError:
            pass  # it wanted to go anyway
        return Answer(OK)
