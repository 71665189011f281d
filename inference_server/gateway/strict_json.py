"""JSON without what readers of JSON disagree about: keys that come twice, numbers past all bounds, half characters."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any, NoReturn

from ser.errors import ConfigError, FieldViolation, LimitError
from ser_inference_server.wire import MAX_VIOLATIONS

MAX_VALUES = 10_000
"""Most values of a body of JSON; a call of 64 clips has 500."""
MAX_DEPTH = 32
"""Most objects and arrays in each other."""
_LARGEST = 1e308
_MOST_DIGITS = 309
_HALF = "expected text in Unicode, got half a surrogate pair"


def num_values(text: bytes | str) -> int:
    """At most how many values JSON holds, but for its strings' commas and brackets; base64 has none of them."""
    if isinstance(text, str):
        return sum(text.count(mark) for mark in ",[{:")
    return sum(text.count(mark) for mark in b",[{:")


class _Twice(dict[str, Any]):
    """An object some of whose keys came several times."""

    keys_twice: tuple[str, ...]


def parse(text: bytes | str, *, at: str = "") -> Any:
    """Decodes JSON.

    Args:
        text: What came.
        at: The field that it came in; empty for a whole body.

    Raises:
        ConfigError: If it is no JSON, or such that readers disagree about; a violation for each place.
        LimitError: If it has more than `MAX_VALUES`.
    """
    if num_values(text) > MAX_VALUES:
        raise LimitError(f"expected JSON of at most {MAX_VALUES} values, more came")
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_int=_integer, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        what = "JSON" if at else "a body of JSON"
        raise ConfigError([FieldViolation(at, f"expected {what}: {error}")]) from None
    if violations := list(islice(_violations(value, at, 0), MAX_VIOLATIONS)):
        raise ConfigError(violations)
    return value


def _violations(value: Any, path: str, depth: int) -> Iterator[FieldViolation]:
    if isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            yield FieldViolation(path, f"expected at most {MAX_DEPTH} objects and arrays in each other")
            return
        if isinstance(value, _Twice):
            for key in value.keys_twice:
                yield FieldViolation(_below(path, key), "expected once, came several times")
        named = value.items() if isinstance(value, dict) else enumerate(value)
        for name, item in named:
            if isinstance(name, str) and not _is_text(name):
                yield FieldViolation(_below(path, name), _HALF)
            else:
                yield from _violations(item, _below(path, name), depth + 1)
    elif isinstance(value, str):
        if not _is_text(value):
            yield FieldViolation(path, _HALF)
    elif isinstance(value, int | float) and not -_LARGEST < value < _LARGEST:
        yield FieldViolation(path, f"expected a number below {_LARGEST:g}, came a larger one")


def _below(path: str, name: str | int) -> str:
    if isinstance(name, int):
        return f"{path}[{name}]"
    shown = name[:200].encode(errors="backslashreplace").decode()
    return f"{path}.{shown}" if path else shown


def _is_text(value: str) -> bool:
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    twice = _Twice(made)
    twice.keys_twice = tuple(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
    return twice


def _integer(text: str) -> int | float:
    return int(text) if len(text) <= _MOST_DIGITS else math.inf


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
