"""The HTTP side of a worker: uvicorn, with bounds on connections and heads, and an end that cuts nobody off."""

from __future__ import annotations

import asyncio
import contextlib
import http
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import get_remote_addr
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import CloseCode

from ser.errors import Code, LimitError, SerError
from ser_inference_server.admission import caller_of
from ser_inference_server.calls import request_id
from ser_inference_server.failures import OverloadedError
from ser_inference_server.gateway.answers import failure, head
from ser_inference_server.settings import Settings

MAX_HEAD_BYTES = 64 << 10
"""Largest head of a request: its first line and its headers."""
MAX_HEADERS = 100
_MOST_REFUSED = 64
"""So many connections that were refused are read from until their callers have the answer."""
_SECONDS_TO_READ = 2.0
_LONGEST_LINGER_SECONDS = 1.0
_SHORTEST_LINGER_SECONDS = 0.1
"""In which connections that wait in the kernel are accepted."""
_TICK_SECONDS = 0.02


def create_server(app: Any, settings: Settings) -> uvicorn.Server:
    """A server for `serve(sockets=[…])`; signals are the caller's affair."""
    bounds = {
        "max_connections": settings.max_connections,
        "max_connections_per_caller": settings.max_connections_per_caller,
        "max_head_seconds": settings.max_body_seconds,
        "max_unread_bytes": settings.max_message_bytes,
        "refused": set(),
    }
    config = uvicorn.Config(
        app,
        http=type("Protocol", (BoundedProtocol,), bounds),
        ws=WebSocketProtocol,
        ws_max_size=settings.max_message_bytes,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, round(settings.grace_seconds - _linger(settings))),
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        ssl_ca_certs=str(settings.tls_client_ca) if settings.tls_client_ca else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if settings.tls_client_ca else ssl.CERT_NONE,
    )
    config.load()
    return _Server(config, _linger(settings))


def _linger(settings: Settings) -> float:
    return min(_LONGEST_LINGER_SECONDS, settings.grace_seconds / 2)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, linger: float) -> None:
        super().__init__(config)
        self._linger = linger

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the worker."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Takes what has come, or is on its way, for a moment more, and has every answer be its connection's last.

        uvicorn itself closes what it finds idle at once, and with it requests that the caller has sent already. That
        nobody else connects meanwhile is the supervisor's affair.
        """
        protocol: Any = self.config.http_protocol_class
        protocol.closing = True
        for connection in list(self.server_state.connections):
            if isinstance(connection, BoundedProtocol):
                connection.close_after_answer()
        started = time.monotonic()
        while (passed := time.monotonic() - started) < self._linger:
            if passed > _SHORTEST_LINGER_SECONDS and not self.server_state.connections:
                break
            await asyncio.sleep(_TICK_SECONDS)
        await super().shutdown(sockets)


class TooLargeHeadError(LimitError):
    """A request's head has too many bytes, or too many headers."""

    http_status = 431


class NoRequestError(SerError):
    """What came is no request of HTTP."""

    code = Code.INVALID_ARGUMENT


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Hangs up on who goes on talking after the close."""

    def data_received(self, data: bytes) -> None:
        """As asyncio's protocols."""
        try:
            super().data_received(data)
        except InvalidState:  # it wants to close a second time
            self.transport.close()

    def send_receive_event_to_app(self) -> None:
        """As uvicorn's protocols, which write a traceback into the log for each text that is not UTF-8."""
        if self.curr_msg_data_type == "text" and not self.close_sent and not _is_utf8(b"".join(self.frames)):
            self.conn.send_close(CloseCode.INVALID_DATA)
            self.handle_parser_exception()
            return
        super().send_receive_event_to_app()


class BoundedProtocol(HttpToolsProtocol):
    """Refuses connections past a number, and ends those whose request's head is too large, or dawdles."""

    max_connections: ClassVar[int]
    max_connections_per_caller: ClassVar[int]
    max_head_seconds: ClassVar[float]
    max_unread_bytes: ClassVar[int]
    refused: ClassVar[set[BoundedProtocol]]
    closing: ClassVar[bool] = False
    """Whether each answer is the last of its connection."""
    _timer: asyncio.TimerHandle | None = None
    _let_in = False
    _refused = False
    _in_head = True
    _head_bytes = 0
    _unread_bytes = 0
    _closing: Any

    def connection_made(self, transport: Any) -> None:
        """As asyncio's protocols."""
        if refusal := self._surplus(transport):
            self._refuse(transport, OverloadedError(f"{refusal}; try again later"))
            return
        self._let_in = True
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio's protocols."""
        self.refused.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._let_in:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """As asyncio's protocols."""
        if self._refused:
            self._unread_bytes += len(data)
            if self._unread_bytes > self.max_unread_bytes:
                self._end()
            return
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self._refused:
            self._refuse(self.transport, _too_large())

    def on_message_begin(self) -> None:
        """As httptools' parsers."""
        super().on_message_begin()
        self._in_head = True
        self._expect_head()

    def on_headers_complete(self) -> None:
        """As httptools' parsers."""
        self._in_head, self._head_bytes = False, 0
        if self._timer is not None:
            self._timer.cancel()
        if (
            len(self.headers) > MAX_HEADERS
            or sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES
        ):
            self._refuse(self.transport, _too_large())
            raise _too_large()  # ends the parser
        super().on_headers_complete()
        if self.closing:
            self.close_after_answer()

    def close_after_answer(self) -> None:
        """Has the answer to the newest request say `connection: close`; without one, the connection stays as it is."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        """As uvicorn's protocols; called where the parser ended."""
        if not self._refused:
            self._refuse(self.transport, NoRequestError(msg))

    def _surplus(self, transport: Any) -> str:
        """Why a connection is one too many; empty if it is not."""
        if len(self.connections) >= self.max_connections:
            return "too many connections (SER_MAX_CONNECTIONS)"
        peer = get_remote_addr(transport)
        if peer is not None and len(self.connections) >= self.max_connections_per_caller:
            caller = caller_of(peer[0])
            peers: list[Any] = [getattr(other, "client", None) for other in self.connections]
            own = [other for other in peers if other and caller_of(other[0]) == caller]
            if len(own) >= self.max_connections_per_caller:
                return "too many connections of yours (SER_MAX_CONNECTIONS_PER_CALLER)"
        return ""

    def _refuse(self, transport: Any, error: SerError) -> None:
        """Answers, and goes on reading for a while.

        A connection that is closed while something comes is reset, and the answer with it: the caller would be told of
        a broken pipe.
        """
        self._refused = True
        given = request_id(None)
        answer = failure(error, given)
        reason = http.HTTPStatus(answer.status).phrase
        lines = [*head(answer.content_type, given, answer.headers or {}), (b"connection", b"close")]
        lines.append((b"content-length", b"%d" % len(answer.body)))
        first = f"HTTP/1.1 {answer.status} {reason}\r\n".encode()
        transport.write(first + b"".join(b"%s: %s\r\n" % line for line in lines) + b"\r\n" + answer.body)
        self._closing = transport
        if len(self.refused) >= _MOST_REFUSED:
            self._end()
            return
        self.refused.add(self)
        if transport.can_write_eof():
            transport.write_eof()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(_SECONDS_TO_READ, self._end)

    def _end(self) -> None:
        self.refused.discard(self)
        self._closing.close()

    def _expect_head(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(self.max_head_seconds, self.transport.close)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _too_large() -> TooLargeHeadError:
    return TooLargeHeadError(f"expected a head of at most {MAX_HEAD_BYTES} bytes and {MAX_HEADERS} headers, more came")
