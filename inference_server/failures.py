"""Errors as the protocols say them: one table from `ser.errors.Code` to gRPC and HTTP, and google.rpc.Status."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from ser.errors import Code, ConfigError, FieldViolation, SerError, StorageError

STATUSES: Mapping[Code, tuple[grpc.StatusCode, int]] = MappingProxyType(
    {
        Code.INVALID_ARGUMENT: (grpc.StatusCode.INVALID_ARGUMENT, 400),
        Code.FAILED_PRECONDITION: (grpc.StatusCode.FAILED_PRECONDITION, 400),
        Code.UNAUTHENTICATED: (grpc.StatusCode.UNAUTHENTICATED, 401),
        Code.PERMISSION_DENIED: (grpc.StatusCode.PERMISSION_DENIED, 403),
        Code.NOT_FOUND: (grpc.StatusCode.NOT_FOUND, 404),
        Code.RESOURCE_EXHAUSTED: (grpc.StatusCode.RESOURCE_EXHAUSTED, 413),
        Code.CANCELLED: (grpc.StatusCode.CANCELLED, 499),
        Code.DATA_LOSS: (grpc.StatusCode.DATA_LOSS, 500),
        Code.INTERNAL: (grpc.StatusCode.INTERNAL, 500),
        Code.UNAVAILABLE: (grpc.StatusCode.UNAVAILABLE, 503),
        Code.DEADLINE_EXCEEDED: (grpc.StatusCode.DEADLINE_EXCEEDED, 504),
    }
)
"""Every code's status in gRPC and in HTTP."""
CODES: Mapping[int, Code] = MappingProxyType({status.value[0]: code for code, (status, _) in STATUSES.items()})
"""Number of a google.rpc.Code to the code."""


class OverloadedError(SerError):
    """Too much at once; the same call may succeed later."""

    code = Code.RESOURCE_EXHAUSTED
    retry_after_seconds = 1


class UnauthenticatedError(SerError):
    """No proof, or a wrong one, of who calls."""

    code = Code.UNAUTHENTICATED


class StoppingError(SerError):
    """The server is stopping."""

    code = Code.UNAVAILABLE
    retry_after_seconds = 2


class DeadlineError(SerError):
    """The call took longer than it may."""

    code = Code.DEADLINE_EXCEEDED


class HeldUpError(SerError):
    """Files are waited for by so many already that this call is better told at once."""

    code = Code.UNAVAILABLE
    retry_after_seconds = 1


class CancelledJobError(SerError):
    """The training was cancelled."""

    code = Code.CANCELLED


class DefectError(SerError):
    """A defect of SER; says where its trace is, not what it is."""

    code = Code.INTERNAL

    def __init__(self, request_id: str) -> None:
        super().__init__(f"a defect of SER; the server's log has it under request id {request_id}")


class JobFailedError(SerError):
    """A training job failed: what the error in its own process said."""

    def __init__(self, code: Code, message: str, violations: list[FieldViolation]) -> None:
        super().__init__(message)
        self.code = code
        self.violations = tuple(violations)


def violations_of(error: SerError) -> tuple[FieldViolation, ...]:
    """Each wrong field that an error names. One whose message begins with a field's name names that field."""
    if isinstance(error, ConfigError | JobFailedError):
        return error.violations
    return ()


def grpc_code(error: SerError) -> grpc.StatusCode:
    """The status of gRPC."""
    return STATUSES[error.code][0]


def http_status(error: SerError) -> int:
    """The status of HTTP: too much at once is 429, too large is 413, no room on the server's disk is 507."""
    if isinstance(error, StorageError) and error.code is Code.RESOURCE_EXHAUSTED:
        return 507
    return 429 if isinstance(error, OverloadedError) else STATUSES[error.code][1]


def retry_after(error: SerError) -> int | None:
    """In how many seconds the same call may succeed."""
    return getattr(error, "retry_after_seconds", None)


def to_status(error: SerError, request_id: str) -> status_pb2.Status:
    """The error as google.rpc.Status, with what a program wants to know in its details."""
    status = status_pb2.Status(code=grpc_code(error).value[0], message=str(error))
    if violations := violations_of(error):
        bad = error_details_pb2.BadRequest()
        for violation in violations:
            bad.field_violations.add(field=violation.field, description=violation.description)
        status.details.add().Pack(bad)
    if (seconds := retry_after(error)) is not None:
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=seconds)))
    status.details.add().Pack(error_details_pb2.RequestInfo(request_id=request_id))
    return status
