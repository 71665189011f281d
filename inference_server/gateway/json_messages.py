"""From JSON, query strings and forms to messages, by descriptors: every wrong field is named, all of them at once.

`google.protobuf.json_format` stops at the first and names it in its own words; it has the rest: Struct, Timestamp.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from ser.errors import ConfigError, FieldViolation
from ser_inference_server.gateway import strict_json
from ser_inference_server.gateway.scalars import WrongValueError, of_text, scalar, shown
from ser_inference_server.wire import MAX_VIOLATIONS

MessageT = TypeVar("MessageT", bound=Message)


def to_message(value: Any, message: MessageT) -> MessageT:
    """Fills a message from decoded JSON.

    Beyond Protobuf's JSON a string field takes a number, and a whole number comes as 20.0 too. null is a field that
    is left out.

    Args:
        value: What was decoded; in place of base64 it may have bytes.
        message: The message to fill; it is returned.

    Raises:
        ConfigError: If it does not fit; a violation for each field.
    """
    filler = _Filler()
    filler.fill(value, message, "")
    if filler.violations:
        raise ConfigError(filler.violations[:MAX_VIOLATIONS])
    return message


def from_text(pairs: Iterable[tuple[str, str | bytes]], descriptor: Any) -> dict[str, Any]:
    """The values of what has no types, a query string or a form, as decoded JSON; files stay bytes.

    Raises:
        ConfigError: If a field is unknown, comes twice, or its text is no value of its type.
    """
    violations: list[FieldViolation] = []
    fields: dict[str, Any] = {}
    for name, value in pairs:
        field = descriptor.fields_by_name.get(name)
        if field is None:
            violations.append(_unknown(name, descriptor))
        elif name in fields and not field.is_repeated:
            violations.append(FieldViolation(name, "expected once, came several times"))
        else:
            try:
                read = _of_part(value, field)
            except WrongValueError as error:
                violations.append(FieldViolation(name, str(error)))
                continue
            except ConfigError as error:
                violations.extend(error.violations)
                continue
            if field.is_repeated and not _is_map(field):
                fields.setdefault(name, []).append(read)
            else:
                fields[name] = read
    if violations:
        raise ConfigError(violations[:MAX_VIOLATIONS])
    return fields


def _is_map(field: Any) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _unknown(path: str, descriptor: Any) -> FieldViolation:
    allowed = ", ".join(field.name for field in descriptor.fields)
    return FieldViolation(path[:200], f"unknown field; allowed: {allowed}")


def _of_part(value: str | bytes, field: Any) -> Any:
    if isinstance(value, str):
        return strict_json.parse(value, at=field.name) if field.message_type is not None else of_text(value, field)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return value
    if field.message_type is not None and "audio" in field.message_type.fields_by_name:
        return {"audio": value}  # a file for a message that is little else than a recording
    try:
        return _of_part(value.decode(), field)
    except UnicodeDecodeError:
        raise WrongValueError("expected text in UTF-8, got a file") from None


class _Filler:
    """Fills messages and gathers what is wrong."""

    def __init__(self) -> None:
        self.violations: list[FieldViolation] = []

    def fill(self, value: Any, message: Message, path: str) -> None:
        if not isinstance(value, Mapping):
            self._wrong(path, f"expected an object, got {shown(value)}")
            return
        descriptor: Any = message.DESCRIPTOR
        fields = descriptor.fields_by_name
        chosen: dict[str, str] = {}
        seen: set[str] = set()
        for name, content in value.items():
            at = f"{path}.{name}" if path else str(name)
            field = fields.get(name) or descriptor.fields_by_camelcase_name.get(name)
            if field is None:
                self.violations.append(_unknown(at, descriptor))
            elif field.name in seen:
                self._wrong(at, f"expected once, came as {field.name} and as {field.camelcase_name}")
            elif content is not None:
                seen.add(field.name)
                group = field.containing_oneof
                if group is not None and chosen.setdefault(group.name, name) != name:
                    self._wrong(at, f"expected instead of {chosen[group.name]}, not beside it")
                else:
                    self._set(content, field, message, at)

    def _set(self, value: Any, field: Any, message: Message, path: str) -> None:
        if _is_map(field):
            self._set_map(value, field, getattr(message, field.name), path)
        elif field.is_repeated:
            self._set_list(value, field, getattr(message, field.name), path)
        elif field.message_type is not None:
            target = getattr(message, field.name)
            target.SetInParent()
            self._fill_any(value, target, path)
        else:
            try:
                setattr(message, field.name, scalar(value, field))
            except WrongValueError as error:
                self._wrong(path, str(error))

    def _set_map(self, value: Any, field: Any, target: Any, path: str) -> None:
        if not isinstance(value, Mapping):
            self._wrong(path, f"expected an object, got {shown(value)}")
            return
        of_key, of_value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        for key, item in value.items():
            at = f"{path}.{key}"
            try:
                name = scalar(key, of_key)
                if of_value.message_type is not None:
                    self._fill_any(item, target[name], at)
                else:
                    target[name] = scalar(item, of_value)
            except WrongValueError as error:
                self._wrong(at, str(error))

    def _set_list(self, value: Any, field: Any, target: Any, path: str) -> None:
        if not isinstance(value, list):
            self._wrong(path, f"expected an array, got {shown(value)}")
            return
        for number, item in enumerate(value):
            at = f"{path}[{number}]"
            if field.message_type is not None:
                self._fill_any(item, target.add(), at)
                continue
            try:
                target.append(scalar(item, field))
            except WrongValueError as error:
                self._wrong(at, str(error))

    def _fill_any(self, value: Any, message: Message, path: str) -> None:
        """A message of ours field by field; one of Protobuf's own, as Struct, by its own rules."""
        descriptor: Any = message.DESCRIPTOR
        if descriptor.file.package != "google.protobuf":
            self.fill(value, message, path)
        elif descriptor.name == "Struct" and not isinstance(value, Mapping):
            self._wrong(path, f"expected an object, got {shown(value)}")
        else:
            try:
                json_format.ParseDict(value, message)
            except (json_format.ParseError, ValueError, TypeError) as error:
                self._wrong(path, f"expected a {descriptor.name}: {error}")

    def _wrong(self, path: str, description: str) -> None:
        self.violations.append(FieldViolation(path, description))
