"""Answers, freed of what may differ between two right ones, and compared."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

OK = "OK"
BROKEN = "broken connection"
"""The connection ended without an answer."""
LATE = "no answer in time"
"""The caller's own patience ended first."""
TOLERANCE = 1e-6
_VOLATILE = re.compile(r"'[^']*'|\"[^\"]*\"|[A-Za-z]*-[0-9a-f]{12,16}|-?\d+(\.\d+)?")


@dataclass(frozen=True)
class Answer:
    """What came back."""

    outcome: str
    """`OK`, the name of a google.rpc.Code, `BROKEN` or `LATE`."""
    value: Any = None
    """Of `OK` the message as JSON; of an error its kind: the fields, and the message without names and numbers."""
    message: str = ""
    """Of an error, as it came."""

    def agrees(self, other: Answer) -> bool:
        """Whether both say the same; numbers to 1e-6."""
        return self.outcome == other.outcome and same(self.value, other.value)


def same(one: Any, other: Any) -> bool:
    """Whether two decoded JSON values are the same, numbers to 1e-6."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float | int) and isinstance(other, float | int) and not isinstance(one, bool):
        return math.isclose(one, other, rel_tol=0, abs_tol=TOLERANCE)
    return bool(one == other)


def of_http(status: int, content_type: str, body: bytes) -> Answer:
    """The answer of an HTTP response."""
    if "json" not in content_type:
        return Answer(OK if status == 200 else f"HTTP {status}", body.decode("latin-1"))
    content = json.loads(body)
    if status < 300:
        return Answer(OK, content)
    fields = [one.get("field") for detail in content["details"] for one in detail.get("field_violations", [])]
    return _failed(content["code"], fields, content["message"], http=status)


def of_message(message: Message) -> Answer:
    """The answer of gRPC."""
    return Answer(OK, json_format.MessageToDict(message, preserving_proto_field_name=True))


def of_rpc_error(error: grpc.RpcError) -> Answer:
    """The answer of a call that failed; one without SER's own status never came from SER."""
    call: Any = error  # what a stub raises is a call too
    code, trailing, details = call.code(), dict(call.trailing_metadata() or ()), str(call.details())
    if "grpc-status-details-bin" not in trailing:
        return Answer(LATE if code is grpc.StatusCode.DEADLINE_EXCEEDED else BROKEN, message=f"{code.name}: {details}")
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    fields = []
    for detail in status.details:
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            fields += [violation.field for violation in bad.field_violations]
    return _failed(status.code, fields, status.message)


def _failed(code: int, fields: list[str], message: str, http: int | None = None) -> Answer:
    kind = _VOLATILE.sub("_", message.partition(";")[0])
    value = {"fields": fields, "kind": kind, **({"http": http} if http else {})}
    return Answer(code_pb2.Code.Name(code), value, message)
