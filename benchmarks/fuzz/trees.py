"""Mutations of JSON that know its structure, and the text that no encoder would write."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any


class Raw(str):
    """Text that is written as it is, in place of a value."""

    __slots__ = ()


class Pairs(list[tuple[str, Any]]):
    """An object whose keys may come twice."""


SCALARS: Sequence[Any] = (
    None, True, False, 0, 1, -1, 0.5, -0.0, 1e308, 2**31, 2**32, 2**53 + 1, 2**64, -(2**63) - 1, "", "x", "0", "NaN",
    "é\u0000", "\ud800", "a" * 5_000, "../../etc/passwd", "\n", [], {}, [[]], {"": ""}, Raw("1e400"), Raw("-1e999"),
    Raw("NaN"), Raw("Infinity"), Raw("1" * 5_000), Raw("-0"), Raw("01"), Raw("1."), Raw('"\\ud83d"'), Raw("'x'"),
    Raw('"\\x41"'), Raw("nul"), Raw("{"), Raw("]"), Raw("/**/1"), Raw("\ufeff1"),
)  # fmt: skip
DEPTHS = (2, 10, 33, 34, 100, 1_000, 5_000)


def mutate_tree(rng: random.Random, value: Any, keys: Sequence[str] = ()) -> bytes:
    """A JSON text like that of a value, changed in one to four places.

    Args:
        rng: The generator.
        value: What the text is made from; it is left as it is.
        keys: Names to add to objects besides those that are there.
    """
    for _ in range(min(4, 1 + int(rng.expovariate(0.9)))):
        value = _changed(rng, value, keys)
    text = to_text(value)
    return text.encode(rng.choice(("utf-8",) * 30 + ("utf-16", "utf-32", "utf-8-sig")), "surrogatepass")


def to_text(value: Any) -> str:
    """JSON, with `Raw` as it is and `Pairs` as objects; not by recursion, so that any depth can be written."""
    pieces: list[str] = []
    stack: list[Any] = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, Raw):
            pieces.append(one)
        elif isinstance(one, dict | Pairs):
            items = list(one.items()) if isinstance(one, dict) else list(one)
            pieces.append("{")
            stack.append(Raw("}"))
            for number, (key, item) in reversed(list(enumerate(items))):
                stack += [item, Raw(("," if number else "") + json.dumps(key) + ":")]
        elif isinstance(one, list):
            pieces.append("[")
            stack.append(Raw("]"))
            for number, item in reversed(list(enumerate(one))):
                stack.append(item)
                if number:
                    stack.append(Raw(","))
        else:
            pieces.append(json.dumps(one))
    return "".join(pieces)


def _changed(rng: random.Random, value: Any, keys: Sequence[str]) -> Any:
    """A copy with one place changed, somewhere below or here."""
    if isinstance(value, dict | Pairs) and value and rng.random() < 0.8:
        items = list(value.items()) if isinstance(value, dict) else list(value)
        at = rng.randrange(len(items))
        key, item = items[at]
        match rng.randrange(8):
            case 0:
                del items[at]
            case 1:
                items.append((key, rng.choice(SCALARS)))
                return Pairs(items)
            case 2:
                items.append((rng.choice([*keys, "", "x", "__class__", "é", "a.b", key.upper(), key + "\u0000"]), item))
            case 3:
                other = rng.choice(items)
                items[at] = (key, other[1])
            case _:
                items[at] = (key, _changed(rng, item, keys))
        return Pairs(items) if isinstance(value, Pairs) else dict(items)
    if isinstance(value, list) and value and not isinstance(value, Pairs) and rng.random() < 0.8:
        copy = list(value)
        at = rng.randrange(len(copy))
        match rng.randrange(5):
            case 0:
                del copy[at]
            case 1:
                copy += [copy[at]] * rng.choice((1, 2, 70))
            case _:
                copy[at] = _changed(rng, copy[at], keys)
        return copy
    return _replacement(rng, value)


def _replacement(rng: random.Random, value: Any) -> Any:
    match rng.randrange(6):
        case 0:
            depth = rng.choice(DEPTHS)
            opening, closing = rng.choice((("[", "]"), ('{"a":', "}")))
            return Raw(opening * depth + to_text(value) + closing * depth)
        case 1:
            return [value]
        case 2:
            return to_text(value)
        case 3 if isinstance(value, int | float) and not isinstance(value, bool):
            return rng.choice((-value, value * 1e9, value + 1e-9, str(value), float(value)))
        case _:
            return rng.choice(SCALARS)
