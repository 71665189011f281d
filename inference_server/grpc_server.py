"""The gRPC side of a worker: handlers made from the descriptors, health, reflection."""

from __future__ import annotations

import urllib.parse
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from ser.errors import ConfigError, FieldViolation, SerError
from ser_api.v1 import ser_pb2
from ser_inference_server import checks
from ser_inference_server.calls import Call, Calls, request_id
from ser_inference_server.failures import GoneError, grpc_code, retry_after, to_status
from ser_inference_server.reflection import add_reflection
from ser_inference_server.settings import Settings
from ser_inference_server.wire import check_message

REQUEST_ID = "x-request-id"
SERVICE: ServiceDescriptor = ser_pb2.DESCRIPTOR.services_by_name["SpeechEmotionRecognition"]
LONG = frozenset({"Train"} | {rpc.name for rpc in SERVICE.methods if rpc.server_streaming})
"""RPCs that stay open until something has happened."""
Metadata = Mapping[str, str | bytes]
Context = grpc.aio.ServicerContext[Any, Any]


def create_server(
    settings: Settings, calls: Calls, service: object
) -> tuple[grpc.aio.Server, health.aio.HealthServicer]:
    """A server that shares its port with other workers, bound but not started."""
    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 1),
            ("grpc.max_receive_message_length", settings.max_message_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_concurrent_streams", settings.max_calls + settings.max_streams),
            ("grpc.max_metadata_size", 16 << 10),
            ("grpc.max_connection_idle_ms", 300_000),
            # Clients may ask whether the server is there, by pings, each second, on quiet streams and without calls.
            ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
            ("grpc.keepalive_permit_without_calls", 1),
            # A client that went without a word, as by a cable that was pulled, is found out.
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 20_000),
        ],
        # The same limits that `Calls` keeps, once more before a call is read.
        maximum_concurrent_rpcs=4 * (settings.max_calls + settings.max_streams),
    )
    handlers = {rpc.name: _handler(rpc, getattr(service, rpc.name), calls) for rpc in SERVICE.methods}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE.full_name, handlers),))
    healths = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healths, server)
    add_reflection(server, (SERVICE.full_name, health.SERVICE_NAME))
    address = f"{f'[{settings.host}]' if ':' in settings.host else settings.host}:{settings.grpc_port}"
    if settings.tls_cert and settings.tls_key:
        credentials = grpc.ssl_server_credentials(
            [(settings.tls_key.read_bytes(), settings.tls_cert.read_bytes())],
            settings.tls_client_ca.read_bytes() if settings.tls_client_ca else None,
            require_client_auth=settings.tls_client_ca is not None,
        )
        server.add_secure_port(address, credentials)
    else:
        server.add_insecure_port(address)
    return server, healths


async def set_serving(healths: health.aio.HealthServicer, serving: bool) -> None:
    """Says, for the whole and for the service, whether calls are taken."""
    status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
    for name in ("", SERVICE.full_name):
        await healths.set(name, status)


def _handler(rpc: MethodDescriptor, method: Callable[..., Any], calls: Calls) -> Any:
    """The handler of an RPC. Messages come as bytes, so that one that is cut short is the caller's error, not ours."""
    message_class = GetMessageClass(rpc.input_type)

    def enter(metadata: Metadata, given: str, context: Context) -> AbstractAsyncContextManager[Call]:
        return calls.enter(
            rpc.name,
            "grpc",
            request_id=given,
            authorization=_text(metadata.get("authorization")),
            address=_address(context.peer()),
            seconds=context.time_remaining(),
            long=rpc.name in LONG,
        )

    async def unary(data: bytes, context: Context) -> bytes | None:
        metadata = dict(context.invocation_metadata() or ())
        given = request_id(_text(metadata.get(REQUEST_ID)))
        try:
            async with enter(metadata, given, context) as call:
                context.set_trailing_metadata(((REQUEST_ID, given),))
                call.arrival.add(len(data))
                answer: Message = await method(_parse(data, message_class), call)
                return answer.SerializeToString()
        except SerError as error:
            await _abort(context, error, given)
            return None

    async def streaming(request: Any, context: Context) -> AsyncIterator[bytes]:
        metadata = dict(context.invocation_metadata() or ())
        given = request_id(_text(metadata.get(REQUEST_ID)))
        try:
            async with enter(metadata, given, context) as call:
                await _send_head(context, given)
                if rpc.client_streaming:
                    parsed: Any = _each(request, message_class, call)
                else:
                    call.arrival.add(len(request))
                    parsed = _parse(request, message_class)
                async for answer in method(parsed, call):
                    yield answer.SerializeToString()
        except SerError as error:
            await _abort(context, error, given)

    if rpc.client_streaming:
        return grpc.stream_stream_rpc_method_handler(streaming)
    if rpc.server_streaming:
        return grpc.unary_stream_rpc_method_handler(streaming)
    return grpc.unary_unary_rpc_method_handler(unary)


async def _send_head(context: Context, given: str) -> None:
    try:
        await context.send_initial_metadata(((REQUEST_ID, given),))
    except grpc.aio.BaseError:
        raise GoneError("the caller hung up") from None


def _address(peer: str) -> str:
    """The address in what gRPC says of the other end: ipv4:10.1.2.3:40000, ipv6:%5B::1%5D:40000."""
    return urllib.parse.unquote(peer.partition(":")[2]).rpartition(":")[0].strip("[]")


def _text(value: str | bytes | None) -> str | None:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else value


async def _each(requests: AsyncIterator[bytes], message_class: type[Message], call: Call) -> AsyncIterator[Message]:
    async for data in requests:
        call.arrival.forget()  # of the message before
        call.arrival.add(len(data))
        yield _parse(data, message_class)


def _parse(data: bytes, message_class: type[Message]) -> Message:
    check_message(data, message_class.DESCRIPTOR)
    try:
        message = message_class.FromString(data)
    except DecodeError:
        name = message_class.DESCRIPTOR.name
        raise ConfigError([FieldViolation("", f"expected a {name}, got {len(data)} bytes that are none")]) from None
    checks.check(message)
    return message


async def _abort(context: Context, error: SerError, given: str) -> None:
    if context.done():
        return  # nobody is there to be told
    trailing = [(REQUEST_ID, given), ("grpc-status-details-bin", to_status(error, given).SerializeToString())]
    if (seconds := retry_after(error)) is not None:
        trailing.append(("retry-after", str(seconds)))
    context.set_trailing_metadata(tuple(trailing))
    await context.abort(grpc_code(error), str(error))
