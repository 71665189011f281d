"""JSON that SER wrote, or that says so: read strictly, because strangers can write other things into a folder."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from typing import Any

from ser.errors import DamagedError

DEEPEST = 32
"""How many objects and arrays may lie in each other; Protobuf, which carries what is read here on, takes 100."""
_MOST_DIGITS = 20


def fingerprint(value: object) -> str:
    """64 hexadecimal digits that identify a JSON-serialisable value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, allow_nan=False).encode()).hexdigest()


def parse_json(content: bytes, where: str) -> Any:
    """The value of JSON in UTF-8: numbers are finite and whole ones below 10^20, no key comes twice.

    Args:
        content: The bytes of the file.
        where: What to call it in an error.

    Raises:
        DamagedError: If it is something else.
    """
    try:
        value = json.loads(
            content.decode(),
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=_short,
            object_pairs_hook=_once,
        )
        _check_depth(value)
        if b"\\u" in content:  # half a surrogate pair is JSON, and no text
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{where} is not the JSON that was written there: {error}") from None
    return value


def parse_object(content: bytes, where: str) -> dict[str, Any]:
    """As `parse_json`, of what must be an object."""
    value = parse_json(content, where)
    if not isinstance(value, dict):
        raise DamagedError(f"{where} is not the JSON that was written there: expected an object")
    return value


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large a number")
    return value


def _short(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"{text[:40]}... has more than {_MOST_DIGITS} digits")
    return int(text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{twice[:100]!r} comes twice")
    return found


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            child
            for one in level
            if isinstance(one, dict | list)
            for child in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise ValueError(f"expected at most {DEEPEST} objects and arrays within each other")
