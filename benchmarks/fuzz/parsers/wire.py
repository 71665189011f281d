"""Bytes on a connection, as they come from the network: HTTP requests, and frames of WebSockets.

They go through uvicorn's protocol and the whole of the gateway and the service, over a transport without a network.
A worker's defect is what it logs with a traceback, an answer 500, or a call that goes on after its caller has gone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import shutil
from pathlib import Path
from typing import Any

from uvicorn.server import ServerState
from websockets.frames import Opcode

from benchmarks.fuzz.mutation import mutate
from benchmarks.fuzz.parser import Parser, Surroundings, expect
from benchmarks.fuzz.parsers import requests
from benchmarks.fuzz.trees import mutate_tree, to_text
from benchmarks.models import copy_as
from ser_inference_server import grpc_server, http_server
from ser_inference_server.calls import Calls
from ser_inference_server.gateway.app import Gateway
from ser_inference_server.gateway.routes import routes
from ser_inference_server.jobs.queue import JobQueue
from ser_inference_server.service import SpeechEmotionRecognition
from ser_inference_server.settings import Settings

_SECONDS_TO_ANSWER = 0.003
"""What has not been answered by then waits for more, or works in its thread; the caller hangs up."""
_SECONDS_TO_END = 5.0
_REFUSALS = ("Invalid UTF-8 sequence received from client.",)
"""What uvicorn logs with a traceback although it does what is right: it closes with 1007."""
_UPGRADE = (
    b"GET /predict/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_HEADERS = (
    "Origin: http://127.0.0.1", "Origin: null", "X-Request-Timeout: 1e-9", "X-Request-Timeout: nan",
    "Expect: 100-continue", "Authorization: Bearer x", "X-Request-Id: " + "x" * 200, "Connection: close",
    "Content-Length: 5", "Content-Type: text/html", "Host: [::1]:5000", "Transfer-Encoding: chunked", "TE: trailers",
    "Upgrade: h2c",
)  # fmt: skip


def http(around: Surroundings) -> Parser:
    """Requests of every route, changed anywhere."""
    worker = _Worker(around)
    seeds = _requests()

    def make(rng: random.Random) -> bytes:
        seed = rng.choice(seeds)
        if rng.random() < 0.3:
            seed = seed.replace(b"\r\n", b"\r\n" + rng.choice(_HEADERS).encode() + b"\r\n", 1)
        return mutate(rng, [seed, seed, seed, rng.choice(seeds)])

    return Parser(make, worker.take)


def websocket(around: Surroundings) -> Parser:
    """Frames after a right upgrade: messages changed in good frames, and frames changed anywhere."""
    worker = _Worker(around)
    tree = requests.as_json(requests.EXAMPLES["StreamPredictRequest"])
    config = to_text(tree).encode()

    def make(rng: random.Random) -> bytes:
        messages = [(Opcode.TEXT, config if rng.random() < 0.7 else mutate_tree(rng, tree, requests.field_names()))]
        for _ in range(rng.choice((0, 1, 2, 3))):
            match rng.randrange(5):
                case 0:
                    messages.append((Opcode.TEXT, mutate(rng, [b"", b'{"pcm": "AAAA"}', config])))
                case 1:
                    messages.append((rng.choice(list(Opcode)), rng.randbytes(rng.choice((0, 2, 125, 126, 300)))))
                case _:
                    messages.append((Opcode.BINARY, rng.randbytes(rng.choice((0, 1, 2, 3_200)))))
        frames = b"".join(_frame(rng, opcode, content) for opcode, content in messages)
        return _UPGRADE + (mutate(rng, [frames]) if rng.random() < 0.5 else frames)

    return Parser(make, worker.take)


def _requests() -> list[bytes]:
    found = []
    for route in routes(grpc_server.SERVICE):
        name = route.rpc.input_type.name
        for example in requests.examples(name):
            value = requests.as_json(example)
            path = route.path.format_map({variable: value.pop(variable, "x") for variable in route.variables})
            head = f"{route.verb} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            body = json.dumps(value).encode() if route.takes_body else b""
            kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
            found.append(f"{head}{kind}\r\n".encode() + body)
    clip = requests.recording()
    head = (
        f"POST /predict?model_id={requests.MODEL}&speaker=03 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: audio/wav\r\n"
    )
    found.append(f"{head}Content-Length: {len(clip)}\r\n\r\n".encode() + clip)
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(clip), clip)
    found.append(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks)
    own = ("/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/none", "*", "http://x/healthz", "/a%00b")
    found += [f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() for path in own]
    return [*found, found[0] + found[1], _UPGRADE, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]


def _frame(rng: random.Random, opcode: Opcode, content: bytes) -> bytes:
    """A frame as clients send them, masked; now and then not the last of its message, or with a bit set."""
    head = opcode | (0x80 if rng.random() < 0.9 else 0) | (0x40 if rng.random() < 0.03 else 0)
    length = len(content)
    if length < 126:
        size = bytes([0x80 | length])
    elif length < 1 << 16:
        size = b"\xfe" + length.to_bytes(2, "big")
    else:
        size = b"\xff" + length.to_bytes(8, "big")
    mask = rng.randbytes(4)
    repeated = mask * (length // 4 + 1)
    return bytes([head]) + size + mask + bytes(one ^ other for one, other in zip(content, repeated, strict=False))


class _Worker:
    """A worker without a network; made at the first input, in the process that runs it."""

    def __init__(self, around: Surroundings) -> None:
        self._root = around.scratch / "served"
        self._model = around.plain
        self._pid = 0
        self._caught = _Caught()

    def take(self, data: bytes) -> None:
        """One connection: the bytes, then the caller hangs up."""
        if self._pid != os.getpid():
            self._start()
        self._caught.errors.clear()
        answer, left = self._loop.run_until_complete(self._talk(data))
        for error in self._caught.errors:
            raise error
        expect(not answer.startswith(b"HTTP/1.1 500"), f"no answer 500, got {answer[-600:]!r}")
        expect(not left, f"calls that end with their caller, got {left} that went on")

    def _start(self) -> None:
        self._pid = os.getpid()
        shutil.rmtree(self._root, ignore_errors=True)
        settings = Settings(data_root=str(self._root / "data"), model_root=str(self._root / "models"))
        (self._root / "data").mkdir(parents=True)
        (self._root / "metrics").mkdir()
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(self._root / "metrics")
        self._serve_model()
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(lambda _, context: self._caught.tell(context))
        logging.getLogger().addHandler(self._caught)
        logging.getLogger("uvicorn").propagate = True
        calls, jobs = Calls(settings), JobQueue(settings.jobs_path)
        service = SpeechEmotionRecognition(settings, calls, jobs)
        gateway = Gateway(grpc_server.SERVICE, service, calls, jobs, settings)
        self._config = http_server.create_server(gateway, settings).config

    def _serve_model(self) -> Path:
        folder = self._root / "models" / requests.MODEL
        if not folder.exists():
            copy_as(self._model, folder)
        return folder

    async def _talk(self, data: bytes) -> tuple[bytes, int]:
        """What was answered, and how many calls went on."""
        self._serve_model()
        state = ServerState()
        transport = _Transport()
        protocol: Any = self._config.http_protocol_class
        protocol = protocol(config=self._config, server_state=state, app_state={}, _loop=self._loop)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        cut = data.find(b"\r\n\r\n") + 4 if data.startswith(_UPGRADE) else len(data) // 2
        for part in (data[:cut], data[cut:]):
            if part and not transport.closed:
                transport.protocol.data_received(part)
                await asyncio.sleep(0)
        if state.tasks:
            await asyncio.wait(set(state.tasks), timeout=_SECONDS_TO_ANSWER)
        transport.close()
        await asyncio.sleep(0)
        if state.tasks:
            await asyncio.wait(set(state.tasks), timeout=_SECONDS_TO_END)
        return b"".join(transport.written), len(state.tasks)


class _Caught(logging.Handler):
    """Errors that were logged with a traceback, or that nobody took."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.errors: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        """As `logging.Handler`."""
        if record.exc_info and record.exc_info[1] is not None and record.msg not in _REFUSALS:
            self.errors.append(record.exc_info[1])

    def tell(self, context: dict[str, Any]) -> None:
        """What the event loop has to say."""
        error = context.get("exception")
        self.errors.append(error if isinstance(error, BaseException) else RuntimeError(str(context.get("message"))))


class _Transport(asyncio.Transport):
    """A connection that keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 40_000), "sockname": ("127.0.0.1", 5_000)})
        self.written: list[bytes] = []
        self.closed = False
        self.protocol: Any = None

    def write(self, data: Any) -> None:
        """See asyncio."""
        self.written.append(bytes(data))

    def close(self) -> None:
        """See asyncio: the protocol hears of it in the loop's next turn."""
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(lambda: self.protocol.connection_lost(None))

    abort = close

    def is_closing(self) -> bool:
        """See asyncio."""
        return self.closed

    def can_write_eof(self) -> bool:
        """See asyncio."""
        return True

    def write_eof(self) -> None:
        """See asyncio."""

    def pause_reading(self) -> None:
        """See asyncio."""

    def resume_reading(self) -> None:
        """See asyncio."""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """See asyncio."""
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """See asyncio."""
        found: asyncio.BaseProtocol = self.protocol
        return found
