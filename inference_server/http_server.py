"""The HTTP side of a worker: uvicorn, with a bound on connections and on how long a request's head may take."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from typing import Any, ClassVar

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from inference_server.settings import Settings

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
        timeout_graceful_shutdown=max(1, round(settings.grace_seconds)),
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        ssl_ca_certs=str(settings.tls_client_ca) if settings.tls_client_ca else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if settings.tls_client_ca else ssl.CERT_NONE,
    )
    config.load()
    return _Server(config)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the worker."""
        yield


class BoundedProtocol(HttpToolsProtocol):
    """Refuses connections past a number, and ends those that dawdle over a request's head."""

    max_connections: ClassVar[int]
    max_head_seconds: ClassVar[float]
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

    def _expect_head(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(self.max_head_seconds, self.transport.close)
