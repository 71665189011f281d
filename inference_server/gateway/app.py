"""The gateway: an ASGI application whose routes are the proto's. A new RPC needs no code here."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from importlib.resources import files
from typing import Any

from google.api import httpbody_pb2
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from starlette.datastructures import Headers

from ser.errors import Code, ConfigError, FieldViolation, NotFoundError, SerError
from ser_inference_server import metrics
from ser_inference_server.calls import Call, Calls, request_id
from ser_inference_server.failures import GoneError, to_status
from ser_inference_server.gateway.answers import (
    REPORT_POLICY,
    Answer,
    failure,
    head,
    page_policy,
    refuse_socket,
    respond,
)
from ser_inference_server.gateway.json_text import to_json_text
from ser_inference_server.gateway.openapi import openapi
from ser_inference_server.gateway.origins import Origins
from ser_inference_server.gateway.requests import read_request
from ser_inference_server.gateway.routes import Route, routes
from ser_inference_server.gateway.sockets import serve_socket
from ser_inference_server.grpc_server import LONG, REQUEST_ID
from ser_inference_server.jobs.queue import JobQueue
from ser_inference_server.settings import Settings
from ser_inference_server.tokens import METRICS_RIGHT

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
_LARGE_BYTES = 32 << 10
"""Answers that are larger are written in a thread; this takes a millisecond or two."""
_SECONDS_UNWATCHED = 0.005
_SECONDS_BETWEEN_SIGNS_OF_LIFE = 15.0
_TIMEOUT = "x-request-timeout"


class MethodNotAllowedError(SerError):
    """A path that is there, by a verb that it does not have."""

    code = Code.INVALID_ARGUMENT
    http_status = 405

    def __init__(self, path: str, allowed: str) -> None:
        super().__init__(f"{path} takes {allowed}")
        self.headers = {"allow": allowed}


class Gateway:
    """HTTP and WebSocket for a service."""

    def __init__(
        self, descriptor: ServiceDescriptor, service: object, calls: Calls, jobs: JobQueue, settings: Settings
    ) -> None:
        self._service = service
        self._calls = calls
        self._jobs = jobs
        self._settings = settings
        self._origins = Origins(settings.host, settings.served_names)
        self._literal: dict[str, dict[str, Route]] = {}
        self._patterns: list[tuple[re.Pattern[str], Route]] = []
        for route in routes(descriptor):
            if route.variables:
                self._patterns.append((_pattern(route.path), route))
            else:
                self._literal.setdefault(route.path, {})[route.verb] = route
        self._openapi = json.dumps(openapi(descriptor)).encode()
        self._page = (files("ser_inference_server.gateway") / "page.html").read_bytes()
        self._page_policy = page_policy(self._page)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        given = request_id(Headers(scope=scope).get(REQUEST_ID))
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send, given)
        elif scope["type"] == "http":
            try:
                self._check_origin(scope)
                answer = await self._own(scope) or await self._rpc(scope, receive, send, given)
            except SerError as error:
                answer = failure(error, given)
            if answer is not None:
                await respond(send, answer, given)

    def _check_origin(self, scope: Scope) -> None:
        self._origins.check(scope["headers"], scope["scheme"], scope["server"], scope["http_version"])

    async def _own(self, scope: Scope) -> Answer | None:
        """The answers that are no RPC's."""
        path, verb = scope["path"], scope["method"]
        if path not in ("/", "/healthz", "/readyz", "/metrics", "/openapi.json"):
            return None
        if verb not in ("GET", "HEAD"):
            raise MethodNotAllowedError(path, "GET, HEAD")
        match path:
            case "/healthz":
                return Answer(b'{"status": "alive"}')
            case "/readyz":
                stopping = self._calls.stopping.is_set()
                return Answer(b'{"status": "stopping"}', status=503) if stopping else Answer(b'{"status": "ready"}')
            case "/metrics":
                authorization = Headers(scope=scope).get("authorization")
                self._calls.authorise(authorization, METRICS_RIGHT, address=_address(scope))
                return Answer(await metrics.exposition(self._jobs), metrics.CONTENT_TYPE)
            case "/openapi.json":
                return Answer(self._openapi)
        return Answer(
            self._page,
            "text/html; charset=utf-8",
            headers={"content-security-policy": self._page_policy},
        )

    async def _rpc(self, scope: Scope, receive: Receive, send: Send, given: str) -> Answer | None:
        """The answer of an RPC; None if it was sent already, or if nobody is there to take it."""
        route, variables = self._route(scope["path"], scope["method"])
        method = getattr(self._service, route.rpc.name)

        async def unary() -> Answer | None:
            async with self._enter(route, scope, given, whole=False) as call:
                request = await read_request(route, variables, scope, receive, self._settings, call)
                self._calls.admit(call)
                answer: Answer = await _while_connected(self._answer(method, request, call), receive)
                return answer

        async def events() -> None:
            async with self._enter(route, scope, given, whole=False) as call:
                request = await read_request(route, variables, scope, receive, self._settings, call)
                self._calls.admit(call)
                await _while_connected(_send_events(method(request, call), send, given), receive)

        if route.rpc.client_streaming:
            raise _UpgradeError(f"{route.path} is a WebSocket: expected an upgrade")
        if route.rpc.server_streaming:
            await events()
            return None
        return await unary()

    @staticmethod
    async def _answer(method: Callable[..., Awaitable[Message]], request: Message, call: Call) -> Answer:
        message = await method(request, call)
        if isinstance(message, httpbody_pb2.HttpBody):
            return Answer(message.data, message.content_type, headers={"content-security-policy": REPORT_POLICY})
        if message.ByteSize() <= _LARGE_BYTES:
            return Answer(to_json_text(message).encode())
        return Answer(await call.threads.compute(lambda: to_json_text(message).encode(), call))

    def _enter(
        self, route: Route, scope: Scope, given: str, *, whole: bool = True
    ) -> contextlib.AbstractAsyncContextManager[Call]:
        headers = Headers(scope=scope)
        return self._calls.enter(
            route.rpc.name,
            "http",
            request_id=given,
            authorization=headers.get("authorization"),
            address=_address(scope),
            seconds=_seconds(headers.get(_TIMEOUT)),
            long=route.rpc.name in LONG,
            whole=whole,
        )

    def _route(self, path: str, verb: str) -> tuple[Route, Mapping[str, str]]:
        verb = "GET" if verb == "HEAD" else verb
        by_verb = self._literal.get(path)
        if by_verb is not None:
            if verb in by_verb:
                return by_verb[verb], {}
            raise MethodNotAllowedError(path, ", ".join(by_verb))
        allowed = []
        for pattern, route in self._patterns:
            if found := pattern.fullmatch(path):
                if route.verb == verb:
                    return route, found.groupdict()
                allowed.append(route.verb)
        if allowed:
            raise MethodNotAllowedError(path, ", ".join(allowed))
        raise NotFoundError(f"no such path: {path[:200]}; /openapi.json lists them")

    async def _socket(self, scope: Scope, receive: Receive, send: Send, given: str) -> None:
        try:
            self._check_origin(scope)
            route, _ = self._route(scope["path"], "GET")
            if not route.rpc.client_streaming:
                raise NotFoundError(f"{route.path} is no WebSocket")
            entered = self._enter(route, scope, given)
        except SerError as error:
            await receive()
            await refuse_socket(send, failure(error, given), given)
            return
        await serve_socket(route, getattr(self._service, route.rpc.name), entered, receive, send, given)


class _UpgradeError(SerError):
    code = Code.INVALID_ARGUMENT
    http_status = 426
    headers = {"upgrade": "websocket"}  # noqa: RUF012 - never changed


async def _while_connected(work: Awaitable[Any], receive: Receive) -> Any:
    """Does the work; ends it when the caller hangs up. Work of some milliseconds is over before that is looked for."""
    task = asyncio.current_task()
    watch = _Watch(receive, task)
    timer = asyncio.get_running_loop().call_later(_SECONDS_UNWATCHED, watch.begin)
    try:
        return await work
    except asyncio.CancelledError:
        if watch.hung_up and task is not None:
            task.uncancel()  # it ends with an error, and goes on
            raise GoneError("the caller hung up") from None
        raise
    finally:
        timer.cancel()
        watch.end()


class _Watch:
    """Ends a call's task when its caller hangs up."""

    def __init__(self, receive: Receive, task: asyncio.Task[Any] | None) -> None:
        self.hung_up = False
        self._receive = receive
        self._task = task
        self._watching: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._watching = asyncio.ensure_future(self._watch())

    def end(self) -> None:
        if self._watching is not None:
            self._watching.cancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.hung_up = True
        if self._task is not None:
            self._task.cancel()


async def _send_events(messages: AsyncIterator[Message], send: Send, given: str) -> None:
    """Server-sent events: a message each, a comment where nothing happens, an event `error` if it ends in one."""
    first = await anext(messages, None)  # an error before it is an ordinary one
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    lines = head("text/event-stream; charset=utf-8", given, headers)
    await send({"type": "http.response.start", "status": 200, "headers": lines})
    try:
        if first is not None:
            await _send_event(send, first)
        coming: asyncio.Future[Message | None] | None = None
        while first is not None:
            coming = coming or asyncio.ensure_future(_next(messages))
            done, _ = await asyncio.wait({coming}, timeout=_SECONDS_BETWEEN_SIGNS_OF_LIFE)
            if not done:
                await send({"type": "http.response.body", "body": b": still here\n\n", "more_body": True})
                continue
            message = coming.result()
            if message is None:
                break
            coming = None
            await _send_event(send, message)
    except SerError as error:
        body = to_json_text(to_status(error, given))
        await send(
            {"type": "http.response.body", "body": f"event: error\ndata: {body}\n\n".encode(), "more_body": True}
        )
    finally:
        if coming is not None:
            coming.cancel()
    await send({"type": "http.response.body", "body": b""})


async def _next(messages: AsyncIterator[Message]) -> Message | None:
    return await anext(messages, None)


async def _send_event(send: Send, message: Message) -> None:
    body = f"data: {to_json_text(message)}\n\n".encode()
    await send({"type": "http.response.body", "body": body, "more_body": True})


def _address(scope: Scope) -> str:
    client: tuple[str, int] | None = scope["client"]
    return client[0] if client else ""


def _seconds(text: str | None) -> float | None:
    """How long the caller waits; None is for ever."""
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ConfigError([FieldViolation(_TIMEOUT, f"expected seconds, more than 0, got {text[:100]!r}")])
    return seconds


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", path)
    return re.compile("".join(f"(?P<{part}>[^/]+)" if odd % 2 else re.escape(part) for odd, part in enumerate(parts)))
