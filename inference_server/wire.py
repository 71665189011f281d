"""Protobuf messages before they are parsed: how many fields they hold, and which the API does not have.

Parsing makes an object of each field, of two bytes if they are empty messages: 32 MB of them are gigabytes.
"""

from __future__ import annotations

import functools
from typing import Any

from ser.errors import ConfigError, FieldViolation, LimitError

MAX_FIELDS = 4_000
"""Most fields of a message, those of the messages in it included; a call of 64 clips has 450."""
MAX_VIOLATIONS = 100
"""Most of what is wrong with a message that an error names."""
_MAX_DEPTH = 100
_UNKNOWN: tuple[str, Any, tuple[int, ...]] = ("", None, ())
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


def check_message(data: bytes, descriptor: Any) -> None:
    """Looks through the fields of a message; what is no message at all is the parser's to refuse.

    Args:
        data: As it came.
        descriptor: Of the message that it should be.

    Raises:
        LimitError: If there are more than `MAX_FIELDS`.
        ConfigError: If the API does not have one; it is named by its number.
    """
    scan = _Scan(data)
    scan.message(0, len(data), descriptor, "", 0)
    if scan.violations:
        raise ConfigError(scan.violations)


class _Scan:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._fields = 0
        self.violations: list[FieldViolation] = []

    def message(self, position: int, end: int, descriptor: Any, path: str, depth: int) -> bool:
        """Whether it could be looked through to its end."""
        fields, is_ours = _fields(descriptor)
        while position < end:
            self._fields += 1
            if self._fields > MAX_FIELDS:
                raise LimitError(f"expected at most {MAX_FIELDS} fields in a message, more came")
            tag, position = self._varint(position, end)
            number, kind = tag >> 3, tag & 7
            name, child, kinds = fields.get(number, _UNKNOWN)
            if kind not in kinds and is_ours and len(self.violations) < MAX_VIOLATIONS:
                what = f"unknown field; {descriptor.name} has no field of this number and type"
                self.violations.append(FieldViolation(f"{path}#{number}", what))
            if kind == _LENGTH:
                length, position = self._varint(position, end)
                start, position = position, position + length
                looked_into = child is not None and position <= end and depth < _MAX_DEPTH
                if looked_into and not self.message(start, position, child, f"{path}{name}.", depth + 1):
                    return False
            elif kind == _VARINT:
                _, position = self._varint(position, end)
            elif kind in (_FIXED64, _FIXED32):
                position += 8 if kind == _FIXED64 else 4
            else:
                return False
        return position == end

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        """A number and where it ends; past the end of the message if it does not."""
        value = shift = 0
        while position < end and shift < 70:
            byte = self._data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, position
            shift += 7
        return 0, end + 1


@functools.cache
def _fields(descriptor: Any) -> tuple[dict[int, tuple[str, Any, tuple[int, ...]]], bool]:
    """Name, message (if it is one) and kinds of each field by number; whether the message is this API's own."""
    is_ours = descriptor.file.package == "ser.v1" and not descriptor.GetOptions().map_entry
    return {field.number: (field.name, field.message_type, _kinds(field)) for field in descriptor.fields}, is_ours


def _kinds(field: Any) -> tuple[int, ...]:
    if field.type in (field.TYPE_STRING, field.TYPE_BYTES, field.TYPE_MESSAGE):
        return (_LENGTH,)
    if field.type in (field.TYPE_DOUBLE, field.TYPE_FIXED64, field.TYPE_SFIXED64):
        kind = _FIXED64
    else:
        kind = _FIXED32 if field.type in (field.TYPE_FLOAT, field.TYPE_FIXED32, field.TYPE_SFIXED32) else _VARINT
    return (kind, _LENGTH) if field.is_repeated else (kind,)
