"""WebSockets for RPCs that stream both ways."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from ser.errors import SerError
from ser_inference_server.calls import Call
from ser_inference_server.failures import GoneError, to_status
from ser_inference_server.gateway import strict_json
from ser_inference_server.gateway.json_messages import to_message
from ser_inference_server.gateway.json_text import to_json_text
from ser_inference_server.gateway.requests import only_bytes_field
from ser_inference_server.gateway.routes import Route

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
_NORMAL, _REFUSED = 1000, 1008
_REASON_BYTES = 123
_FEW_CHARACTERS = 16 << 10
"""Longer messages are read in a thread."""


async def serve_socket(
    route: Route,
    method: Callable[..., AsyncIterator[Message]],
    entered: AbstractAsyncContextManager[Call],
    receive: Receive,
    send: Send,
    given: str,
) -> None:
    """Speaks for one RPC: text messages are its requests as JSON, binary ones fill its field of bytes.

    An empty text message says that no more will come; the answers that are left follow, then the close. An error is
    `{"error": google.rpc.Status}`, then the close.
    """
    await receive()  # websocket.connect
    gone = asyncio.Event()

    async def tell(event: dict[str, Any]) -> None:
        try:
            await send(event)
        except (OSError, RuntimeError):  # as uvicorn says that nobody is there, or that it closed a broken connection
            raise GoneError("the caller hung up") from None

    try:
        await tell({"type": "websocket.accept", "headers": [(b"x-request-id", given.encode())]})
        async with entered as call:
            async for answer in method(_requests(route, receive, gone, call), call):
                if gone.is_set():
                    break
                await tell({"type": "websocket.send", "text": to_json_text(answer)})
            if gone.is_set():
                raise GoneError("the caller hung up")
        await tell({"type": "websocket.close", "code": _NORMAL})
    except GoneError:
        return
    except SerError as error:
        with contextlib.suppress(GoneError):
            await tell({"type": "websocket.send", "text": f'{{"error": {to_json_text(to_status(error, given))}}}'})
            await tell({"type": "websocket.close", "code": _REFUSED, "reason": _reason(error)})


def _reason(error: SerError) -> str:
    """An error's beginning, as long as the protocol lets a reason be."""
    return str(error).encode()[:_REASON_BYTES].decode(errors="ignore")


async def _requests(route: Route, receive: Receive, gone: asyncio.Event, call: Call) -> AsyncIterator[Message]:
    descriptor: Any = route.rpc.input_type
    make = GetMessageClass(descriptor)
    field = only_bytes_field(descriptor)

    def of_json(text: str) -> Message:
        return to_message(strict_json.parse(text), make())

    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            gone.set()
            return
        data, text = event.get("bytes"), event.get("text")
        call.arrival.forget()  # of the message before
        call.arrival.add(len(data or text or ""))
        if data is not None and field is not None:
            yield make(**{field: data})
        elif text and len(text) <= _FEW_CHARACTERS:
            yield of_json(text)
        elif text:
            yield await call.threads.compute(partial(of_json, text), call)
        else:
            return
