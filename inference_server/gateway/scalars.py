"""One value of JSON, a query string or a form as a scalar field takes it."""

from __future__ import annotations

import binascii
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

RANGES: Mapping[int, tuple[int, int]] = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
}
"""Least and greatest value of each type of integer."""
_REALS = (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)


class WrongValueError(ValueError):
    """What was expected and what came."""


def scalar(value: Any, field: Any) -> Any:
    """A decoded JSON value as the field's Python value.

    Raises:
        WrongValueError: If it is none.
    """
    if field.type in RANGES:
        return _integer(value, *RANGES[field.type])
    if field.type == FieldDescriptor.TYPE_ENUM:
        known = field.enum_type.values_by_name
        if not isinstance(value, str) or value not in known:
            raise WrongValueError(f"expected one of {', '.join(known)}, got {shown(value)}")
        return known[value].number
    return _READERS[field.type](value)


def of_text(value: str, field: Any) -> Any:
    """Text as the decoded JSON that it stands for in a field that is no message.

    Raises:
        WrongValueError: If it stands for none.
    """
    if field.type == FieldDescriptor.TYPE_BOOL:
        if value not in ("true", "false"):
            raise WrongValueError(f"expected true or false, got {shown(value)}")
        return value == "true"
    if field.type in RANGES or field.type in _REALS:
        try:
            return int(value) if value.isascii() and value.lstrip("+-").isdigit() else float(value)
        except ValueError:
            raise WrongValueError(f"expected a number, got {shown(value)}") from None
    return value


def shown(value: Any) -> str:
    """A value as an error quotes it."""
    text = json.dumps(value, default=lambda other: f"{len(other)} bytes")
    return text if len(text) <= 100 else f"{text[:100]}…"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _integer(value: Any, low: int, high: int) -> int:
    if not _is_number(value) or not low <= value <= high or int(value) != value:
        raise WrongValueError(f"expected a whole number from {low} to {high}, got {shown(value)}")
    return int(value)


def _real(value: Any) -> float:
    try:
        number = float(value) if _is_number(value) else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise WrongValueError(f"expected a number, got {shown(value)}")
    return number


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise WrongValueError(f"expected true or false, got {shown(value)}")
    return value


def _string(value: Any) -> str:
    if _is_number(value):
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if not isinstance(value, str):
        raise WrongValueError(f"expected a string, got {shown(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise WrongValueError("expected text in Unicode, got half a surrogate pair") from None
    return value


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise WrongValueError(f"expected base64 in a string, got {shown(value)}")
    # Protobuf's JSON takes both alphabets, padded or not.
    text = value.translate({ord("-"): "+", ord("_"): "/"}) if "-" in value or "_" in value else value
    try:
        return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except ValueError as error:
        raise WrongValueError(f"expected base64: {error}") from None


_READERS: Mapping[int, Callable[[Any], Any]] = {
    FieldDescriptor.TYPE_STRING: _string,
    FieldDescriptor.TYPE_BYTES: _bytes,
    FieldDescriptor.TYPE_BOOL: _flag,
    FieldDescriptor.TYPE_DOUBLE: _real,
    FieldDescriptor.TYPE_FLOAT: _real,
}
