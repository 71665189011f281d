"""What comes over HTTP, as the message that it stands for: JSON, a form, a recording, a query string."""

from __future__ import annotations

import contextlib
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from starlette.datastructures import Headers

from ser.errors import Code, ConfigError, FieldViolation, LimitError, SerError
from ser_inference_server import checks
from ser_inference_server.calls import Call
from ser_inference_server.failures import GoneError
from ser_inference_server.gateway import strict_json
from ser_inference_server.gateway.forms import MAX_PARTS, parse_form
from ser_inference_server.gateway.json_messages import from_text, to_message
from ser_inference_server.gateway.routes import Route
from ser_inference_server.settings import Settings

Scope = dict[str, Any]
Receive = Any
_LARGE_BYTES = 256 << 10
_MANY_VALUES = 500
"""Bodies that are larger, or of more values, are read in a thread."""


class ContentTypeError(SerError):
    """A body of a kind that the RPC does not take."""

    code = Code.INVALID_ARGUMENT
    http_status = 415


async def read_request(
    route: Route, variables: Mapping[str, str], scope: Scope, receive: Receive, settings: Settings, call: Call
) -> Message:
    """The message of a request. Fields come in the path, in the query and in the body, each by one way only.

    Raises:
        ConfigError: If a field is wrong, unknown or comes twice.
        ContentTypeError: If the body is of a kind that the RPC does not take.
        LimitError: If the body is too large.
        SlowBodyError: If it takes too long to come.
        OverloadedError: If there is no room for it beside the others that are here.
        GoneError: If it does not come whole.
    """
    descriptor: Any = route.rpc.input_type
    fields: dict[str, Any] = dict(variables)
    if scope["query_string"]:
        query = urllib.parse.parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        _merge(fields, from_text(query, descriptor))
    if route.takes_body:
        headers = Headers(scope=scope)
        body = await _read_body(headers, receive, settings, call)
        kind = kind_of(headers)
        if body and not _is_cheap(body, kind):
            return await call.threads.compute(lambda: _with_body(fields, body, kind, headers, descriptor), call)
        if body:
            return _with_body(fields, body, kind, headers, descriptor)
    return _message(fields, descriptor)


def files_of(descriptor: Any) -> list[Any]:
    """The fields that files of a form go into."""
    return [field for field in descriptor.fields if field.type == FieldDescriptor.TYPE_BYTES]


def only_bytes_field(descriptor: Any) -> str | None:
    """The field that a message's recording goes into, if it has exactly one of bytes; lists of them aside."""
    found = [field.name for field in files_of(descriptor) if not field.is_repeated]
    return found[0] if len(found) == 1 else None


def _merge(fields: dict[str, Any], more: Mapping[str, Any]) -> None:
    if twice := [name for name in more if name in fields]:
        raise ConfigError([FieldViolation(name, "expected once, came in the address and again") for name in twice])
    fields.update(more)


async def _read_body(headers: Headers, receive: Receive, settings: Settings, call: Call) -> bytes:
    limit = settings.max_message_bytes
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise LimitError(f"expected a body of at most {limit} bytes (SER_MAX_MESSAGE_BYTES), got {announced}")
    parts, length = [], 0
    async with call.arrival:
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise GoneError("the connection was closed before the body was whole")
            parts.append(event.get("body", b""))
            length += len(parts[-1])
            if length > limit:
                raise LimitError(f"expected a body of at most {limit} bytes (SER_MAX_MESSAGE_BYTES), more came")
            call.arrival.add(len(parts[-1]))
            if not event.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)


def kind_of(headers: Headers) -> str:
    """What a body is said to be, without parameters, in lower case; JSON where nothing is said."""
    return headers.get("content-type", "application/json").partition(";")[0].strip().lower()


def _with_body(fields: dict[str, Any], body: bytes, kind: str, headers: Headers, descriptor: Any) -> Message:
    content = _of_body(body, kind, headers, descriptor)
    if not isinstance(content, Mapping):
        raise ConfigError([FieldViolation("", "expected a body that is a JSON object")])
    _merge(fields, content)
    return _message(fields, descriptor)


def _message(fields: dict[str, Any], descriptor: Any) -> Message:
    message = to_message(fields, GetMessageClass(descriptor)())
    checks.check(message)
    return message


def _is_cheap(body: bytes, kind: str) -> bool:
    """Whether it takes no time that others would notice to read."""
    return len(body) <= _LARGE_BYTES and (_is_recording(kind) or strict_json.num_values(body) <= _MANY_VALUES)


def _is_recording(kind: str) -> bool:
    return kind.startswith("audio/") or kind == "application/octet-stream"


def _of_body(body: bytes, kind: str, headers: Headers, descriptor: Any) -> Any:
    if kind == "application/json" or kind.endswith("+json"):
        return strict_json.parse(body)
    if kind == "application/x-www-form-urlencoded":
        # What curl -d calls everything, JSON too.
        if body.lstrip()[:1] in (b"{", b"["):
            return strict_json.parse(body)
        with _as_field_errors():
            text = body.decode("ascii")
            pairs = urllib.parse.parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARTS)
            return from_text(pairs, descriptor)
    if kind == "multipart/form-data":
        return from_text(parse_form(body, headers.get("content-type", "")), descriptor)
    if _is_recording(kind) and (field := only_bytes_field(descriptor)):
        return {field: body}
    taken = "application/json, multipart/form-data, application/x-www-form-urlencoded"
    recording = ", audio/*" if only_bytes_field(descriptor) else ""
    raise ContentTypeError(f"content-type: expected {taken}{recording}, got {kind[:100]!r}")


@contextlib.contextmanager
def _as_field_errors() -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise ConfigError([FieldViolation("", f"expected a form in UTF-8: {error}")]) from None
    except ValueError:
        raise LimitError(f"expected a form of at most {MAX_PARTS} fields, more came") from None
