"""What a server answers instead of an answer."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from ser.errors import Code, FieldViolation, SerError


class ServerError(SerError):
    """The server refused a call, or cannot be reached.

    Attributes:
        code: What kind of thing went wrong; what the server calls by a name of its own is INTERNAL.
        violations: Each wrong field.
        request_id: Finds the call in the server's log; None if it never came there.
    """

    def __init__(
        self, code: Code, message: str, violations: tuple[FieldViolation, ...], request_id: str | None
    ) -> None:
        super().__init__(" ".join(message.split()))
        self.code = code
        self.violations = violations
        self.request_id = request_id


def server_error(error: Any, target: str) -> ServerError:
    """A failed gRPC call as an error of ours.

    Args:
        error: A `grpc.RpcError` of a call, synchronous or not.
        target: Whom the call was for.
    """
    trailing = dict(error.trailing_metadata() or ())
    status = _status(trailing.get("grpc-status-details-bin"))
    violations = []
    for detail in status.details:
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            violations += [FieldViolation(one.field, one.description) for one in bad.field_violations]
    grpc_code: grpc.StatusCode = error.code()
    code = Code[grpc_code.name] if grpc_code.name in Code.__members__ else Code.INTERNAL
    message = error.details() or grpc_code.name
    if code is Code.UNAVAILABLE and not status.message:
        message = f"no server answers at {target}: {message}"
    return ServerError(code, message, tuple(violations), trailing.get("x-request-id"))


def _status(data: Any) -> status_pb2.Status:
    try:
        return status_pb2.Status.FromString(data) if isinstance(data, bytes) else status_pb2.Status()
    except DecodeError:  # not one of our servers'
        return status_pb2.Status()
