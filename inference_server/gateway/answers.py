"""What is answered over HTTP, with the headers that every answer has."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ser.errors import SerError
from ser_inference_server.failures import http_status, retry_after, to_status
from ser_inference_server.gateway.json_text import to_json_text
from ser_inference_server.grpc_server import REQUEST_ID

Send = Callable[[dict[str, Any]], Awaitable[None]]
JSON = "application/json"
_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
REPORT_POLICY = f"{_POLICY}; style-src 'unsafe-inline'; img-src data:; sandbox"
"""A report is data of a model's folder: it is shown, and can do nothing, in no site's name."""
_PAGE_POLICY = f"{_POLICY}; style-src 'unsafe-inline'; connect-src 'self'; script-src"
_SAFE = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


@dataclass(frozen=True)
class Answer:
    """One that is sent whole."""

    body: bytes
    content_type: str = JSON
    status: int = 200
    headers: Mapping[str, str] | None = None


def failure(error: SerError, given: str) -> Answer:
    """An error as JSON, as google.rpc.Status."""
    headers = dict(getattr(error, "headers", {}))
    if (seconds := retry_after(error)) is not None:
        headers["retry-after"] = str(seconds)
    status = getattr(error, "http_status", None) or http_status(error)
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return Answer(to_json_text(to_status(error, given)).encode(), JSON, status, headers)


async def respond(send: Send, answer: Answer, given: str) -> None:
    """Sends an answer; `given` is the request's id."""
    lines = _lines(answer, given)
    await send({"type": "http.response.start", "status": answer.status, "headers": lines})
    await send({"type": "http.response.body", "body": answer.body})


async def refuse_socket(send: Send, answer: Answer, given: str) -> None:
    """Answers the request for a WebSocket instead of opening it."""
    lines = _lines(answer, given)
    await send({"type": "websocket.http.response.start", "status": answer.status, "headers": lines})
    await send({"type": "websocket.http.response.body", "body": answer.body})


def _lines(answer: Answer, given: str) -> list[tuple[bytes, bytes]]:
    return [*head(answer.content_type, given, answer.headers or {}), (b"content-length", b"%d" % len(answer.body))]


def head(content_type: str, given: str, headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """The headers of an answer: what it is, what a browser may do with it, and its own."""
    policy = () if "content-security-policy" in headers else ((b"content-security-policy", _POLICY.encode()),)
    return [
        (b"content-type", content_type.encode("latin-1", "replace")),
        (REQUEST_ID.encode(), given.encode()),
        *_SAFE,
        *policy,
        *((name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()),
    ]


def page_policy(page: bytes) -> str:
    """The policy of a page of this server: its one script runs, by its digest; another one that got in would not."""
    script = page.partition(b"<script>")[2].partition(b"</script>")[0]
    return f"{_PAGE_POLICY} 'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
