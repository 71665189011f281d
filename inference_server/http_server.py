"""The HTTP side of a worker: uvicorn, with bounds on connections and heads, and an end that cuts nobody off."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from inference_server.settings import Settings

_LONGEST_LINGER_SECONDS = 1.0
_SHORTEST_LINGER_SECONDS = 0.1
"""In which connections that wait in the kernel are accepted."""
_TICK_SECONDS = 0.02
_TOO_MANY = (
    b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s"
)
_TOO_MANY_BODY = b'{"code": 8, "message": "too many connections (SER_MAX_CONNECTIONS); try again later", "details": []}'


def create_server(app: Any, settings: Settings) -> uvicorn.Server:
    """A server for `serve(sockets=[…])`; signals are the caller's affair."""
    bounds = {"max_connections": settings.max_connections, "max_head_seconds": settings.max_body_seconds}
    config = uvicorn.Config(
        app,
        http=type("Protocol", (BoundedProtocol,), bounds),
        ws="websockets-sansio",
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


class BoundedProtocol(HttpToolsProtocol):
    """Refuses connections past a number, and ends those that dawdle over a request's head."""

    max_connections: ClassVar[int]
    max_head_seconds: ClassVar[float]
    closing: ClassVar[bool] = False
    """Whether each answer is the last of its connection."""
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """As asyncio's protocols."""
        if len(self.connections) >= self.max_connections:
            transport.write(_TOO_MANY % (len(_TOO_MANY_BODY), _TOO_MANY_BODY))
            transport.close()
            return
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio's protocols."""
        if self._timer is not None:  # else it was never let in
            self._timer.cancel()
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """As asyncio's protocols."""
        if self._timer is not None:
            super().data_received(data)

    def on_message_begin(self) -> None:
        """As httptools' parsers."""
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        """As httptools' parsers."""
        if self._timer is not None:
            self._timer.cancel()
        super().on_headers_complete()
        if self.closing:
            self.close_after_answer()

    def close_after_answer(self) -> None:
        """Has the answer to the newest request say `connection: close`; without one, the connection stays as it is."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def _expect_head(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(self.max_head_seconds, self.transport.close)
