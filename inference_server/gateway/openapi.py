"""The API as OpenAPI 3.1, made from the descriptors that the routes are made from, and the proto's comments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FieldDescriptor, ServiceDescriptor

from ser.version import VERSION
from ser_inference_server.gateway.requests import files_of, only_bytes_field
from ser_inference_server.gateway.routes import Route, routes
from ser_inference_server.gateway.scalars import RANGES

_STATUSES: Mapping[str, str] = {
    "400": "A field is wrong, or what it points to does not serve.",
    "401": "No bearer token, or a wrong one.",
    "403": "A path or an address that is not allowed.",
    "404": "No such thing; the message says what there is.",
    "408": "The body did not come in time.",
    "413": "Too large.",
    "415": "A body of a kind that is not taken.",
    "429": "Too much at once; Retry-After says when to try again.",
    "499": "The job was cancelled.",
    "500": "A damaged model, or a defect of SER.",
    "503": "The server is stopping.",
    "504": "The deadline passed.",
}
_WELL_KNOWN: Mapping[str, dict[str, Any]] = {
    "google.protobuf.Struct": {"type": "object", "additionalProperties": True},
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
}
_REQUEST_ID = "x-request-id"


def openapi(service: ServiceDescriptor) -> dict[str, Any]:
    """The document: a path a route, a schema a message, a description a comment."""
    schemas = _Schemas(_comments())
    paths: dict[str, dict[str, Any]] = {}
    for route in sorted(routes(service), key=lambda route: route.rpc.index):
        paths.setdefault(route.path, {})[route.verb.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "SER", "version": VERSION, "description": schemas.comments[""]},
        "paths": paths,
        "components": {
            "schemas": {**dict(sorted(schemas.made.items())), "Status": _status()},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"bearer": []}],
    }


def _operation(route: Route, schemas: _Schemas) -> dict[str, Any]:
    comment = schemas.comments[route.rpc.full_name]
    operation: dict[str, Any] = {
        "operationId": route.rpc.name,
        "summary": comment.partition(". ")[0].rstrip("."),
        "description": comment,
        "parameters": [*_parameters(route, schemas)],
        "responses": {**_answer(route, schemas), **_failures()},
    }
    if route.takes_body:
        operation["requestBody"] = {"required": True, "content": _bodies(route, schemas)}
    return operation


def _parameters(route: Route, schemas: _Schemas) -> Iterator[dict[str, Any]]:
    descriptor: Any = route.rpc.input_type
    for field in descriptor.fields:
        in_path = field.name in route.variables
        if in_path or not (route.takes_body or route.rpc.client_streaming):
            yield {
                "name": field.name,
                "in": "path" if in_path else "query",
                "required": in_path,
                "description": schemas.comments[field.full_name],
                "schema": {**schemas.of_field(field), **({"minLength": 1} if in_path else {})},
            }
    yield {
        "name": _REQUEST_ID,
        "in": "header",
        "description": "Comes back in the answer, and is in the server's log.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
    }


def _bodies(route: Route, schemas: _Schemas) -> dict[str, Any]:
    descriptor: Any = route.rpc.input_type
    in_path = set(route.variables)
    content = {"application/json": {"schema": schemas.body(descriptor, in_path)}}
    recording: dict[str, Any] = {"type": "string", "contentMediaType": "audio/*"}
    if found := files_of(descriptor):
        form = schemas.body(descriptor, in_path)
        files_in_form = {
            field.name: {"type": "array", "items": recording} if field.is_repeated else recording for field in found
        }
        form["properties"] = {**form["properties"], **files_in_form}
        content["multipart/form-data"] = {"schema": form}
    if only_bytes_field(descriptor):
        content["audio/*"] = {"schema": recording}  # the other fields come in the query
    return content


def _answer(route: Route, schemas: _Schemas) -> dict[str, Any]:
    if route.rpc.client_streaming:
        return {"101": {"description": "The connection is a WebSocket from here on."}, "426": _failure("No upgrade.")}
    descriptor: Any = route.rpc.output_type
    schema = schemas.reference(descriptor)
    content: dict[str, Any]
    if descriptor.full_name == "google.api.HttpBody":
        content = {"text/html": {"schema": {"type": "string"}}}
    elif route.rpc.server_streaming:
        content = {"text/event-stream": {"schema": _event(schema)}}
    else:
        content = {"application/json": {"schema": schema}}
    return {"200": {"description": schemas.comments.get(descriptor.full_name, "A page."), "content": content}}


def _event(schema: dict[str, Any]) -> dict[str, Any]:
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": schema}
    return {
        "type": "object",
        "description": "One of many events; `error` has a Status, and is the last.",
        "properties": {"event": {"type": "string", "enum": ["message", "error"]}, "data": data},
    }


def _failures() -> dict[str, Any]:
    return {status: _failure(description) for status, description in _STATUSES.items()}


def _failure(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "headers": {_REQUEST_ID: {"schema": {"type": "string"}}},
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Status"}}},
    }


def _status() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "google.rpc.Status",
        "required": ["code", "message", "details"],
        "properties": {
            "code": {"type": "integer", "description": "Number of a google.rpc.Code."},
            "message": {"type": "string", "description": "One line for the person who asked."},
            "details": {
                "type": "array",
                "description": "google.rpc.BadRequest with field_violations, RetryInfo, RequestInfo.",
                "items": {"type": "object", "additionalProperties": True},
            },
        },
    }


class _Schemas:
    """JSON schemas of messages, made when they are first referred to."""

    def __init__(self, comments: Mapping[str, str]) -> None:
        self.comments = comments
        self.made: dict[str, dict[str, Any]] = {}

    def reference(self, descriptor: Any) -> dict[str, Any]:
        """A reference to a message's schema; its own one for what JSON has a form of its own for."""
        if descriptor.full_name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[descriptor.full_name])
        if descriptor.file.package.startswith("google."):
            return {"type": "object"}
        if descriptor.name not in self.made:
            self.made[descriptor.name] = {}  # it may refer to itself
            self.made[descriptor.name] = self._object(descriptor)
        return {"$ref": f"#/components/schemas/{descriptor.name}"}

    def body(self, descriptor: Any, leave_out: set[str]) -> dict[str, Any]:
        """The schema of a request's body: what is mandatory, and nothing else than its fields."""
        schema = self._object(descriptor)
        schema["properties"] = {name: one for name, one in schema["properties"].items() if name not in leave_out}
        mandatory = [
            field.name
            for field in descriptor.fields
            if field.name not in leave_out and self.comments[field.full_name].endswith("Mandatory.")
        ]
        return {**schema, **({"required": mandatory} if mandatory else {}), "additionalProperties": False}

    def of_field(self, field: Any) -> dict[str, Any]:
        """The schema of one field's value."""
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            return {"type": "object", "additionalProperties": self._one(field.message_type.fields_by_name["value"])}
        if field.is_repeated:
            return {"type": "array", "items": self._one(field)}
        return self._one(field)

    def _object(self, descriptor: Any) -> dict[str, Any]:
        properties = {
            field.name: {**self.of_field(field), "description": self.comments[field.full_name]}
            for field in descriptor.fields
        }
        return {"type": "object", "description": self.comments[descriptor.full_name], "properties": properties}

    def _one(self, field: Any) -> dict[str, Any]:
        if field.message_type is not None:
            return self.reference(field.message_type)
        if field.type in RANGES:
            low, high = RANGES[field.type]
            return {"type": "integer", "minimum": low, "maximum": high}
        if field.type == FieldDescriptor.TYPE_ENUM:
            return {"type": "string", "enum": list(field.enum_type.values_by_name)}
        return dict(_SCALARS[field.type])


_SCALARS: Mapping[int, dict[str, Any]] = {
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_DOUBLE: {"type": "number"},
    FieldDescriptor.TYPE_FLOAT: {"type": "number"},
}


def _comments() -> dict[str, str]:
    """Full name of each message, field, service and RPC to its comment; "" to the file's."""
    descriptors = descriptor_pb2.FileDescriptorSet.FromString((files("ser_api.v1") / "ser.binpb").read_bytes())
    file = descriptors.file[0]
    by_path = {tuple(place.path): place for place in file.source_code_info.location}
    found = {"": _text("".join(by_path[12,].leading_comments))}  # 12: the syntax line, which the file's comment leads
    for number, message in enumerate(file.message_type):
        found |= _of_message(message, file.package, (4, number), by_path)
    for number, service in enumerate(file.service):
        name = f"{file.package}.{service.name}"
        found[name] = _text(by_path[6, number].leading_comments)
        for index, method in enumerate(service.method):
            found[f"{name}.{method.name}"] = _text(by_path[6, number, 2, index].leading_comments)
    return found


def _of_message(
    message: descriptor_pb2.DescriptorProto, package: str, path: tuple[int, ...], by_path: Mapping[tuple[int, ...], Any]
) -> dict[str, str]:
    name = f"{package}.{message.name}"
    found = {name: _text(by_path[path].leading_comments)}
    for number, field in enumerate(message.field):
        found[f"{name}.{field.name}"] = _text(by_path[*path, 2, number].leading_comments)
    return found


def _text(comment: str) -> str:
    """A comment's lines joined; indented ones, as of a table, kept."""
    lines = [line.removeprefix(" ").rstrip() for line in comment.strip("\n").split("\n")]
    return re.sub(r"(?<=\S)\n(?=\S)", " ", "\n".join(lines)).strip()
