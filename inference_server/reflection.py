"""gRPC's reflection, as clients ask for it: v1 and v1alpha, and methods by their names.

The package has v1alpha alone, and its pool finds messages and services by name, but nothing inside them: grpcurl and
ghz ask for `Service.Method`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc
import grpc.aio
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_reflection.v1alpha import reflection, reflection_pb2

_ALPHA = "grpc.reflection.v1alpha"
_STABLE = "grpc.reflection.v1"
_SERVICE = "ServerReflection"


def add_reflection(server: grpc.aio.Server, services: Iterable[str]) -> None:
    """Lets a server tell of its services, and of this one.

    Args:
        server: Not started yet.
        services: Full names of the services.
    """
    _describe_stable()
    names = [f"{package}.{_SERVICE}" for package in (_ALPHA, _STABLE)]
    servicer: Any = _Servicer([*services, *names])
    method = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        # The messages of both versions are the same on the wire.
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        tuple(grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": method}) for name in names)
    )


class _Servicer(reflection.aio.ReflectionServicer):  # type: ignore[misc]  # the package has no types
    def _file_containing_symbol(self, request: Any, fully_qualified_name: str) -> Any:
        owner, _, member = fully_qualified_name.rpartition(".")
        return super()._file_containing_symbol(request, owner if _has(owner, member) else fully_qualified_name)


def _has(owner: str, member: str) -> bool:
    """Whether a service has that method, a message that field, or an enum that value."""
    pool: Any = descriptor_pool.Default()
    for find, members in (
        (pool.FindServiceByName, "methods_by_name"),
        (pool.FindMessageTypeByName, "fields_by_name"),
        (pool.FindEnumTypeByName, "values_by_name"),
    ):
        try:
            if member in getattr(find(owner), members):
                return True
        except KeyError:
            continue
    return False


def _describe_stable() -> None:
    """Makes the descriptor of v1 from that of v1alpha: the same under another name."""
    file = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    file.name, file.package = "grpc/reflection/v1/reflection.proto", _STABLE
    for message in file.message_type:
        for field in message.field:
            if field.type_name:
                field.type_name = field.type_name.replace(f".{_ALPHA}.", f".{_STABLE}.")
    for method in file.service[0].method:
        method.input_type = method.input_type.replace(f".{_ALPHA}.", f".{_STABLE}.")
        method.output_type = method.output_type.replace(f".{_ALPHA}.", f".{_STABLE}.")
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
