"""JSON that a stranger may put where SER keeps its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ser.errors import DamagedError
from ser.storage.files import read_json, write_json
from ser.storage.strict_json import DEEPEST, parse_json, parse_object

HOSTILE = {
    "nothing": b"",
    "no text": b'{"a": "\xff"}',
    "no JSON": b"{",
    "more": b"{} {}",
    "NaN": b'{"a": NaN}',
    "infinite": b'{"a": -Infinity}',
    "beyond float": b'{"a": 1e999}',
    "5,000 digits": b'{"a": ' + b"7" * 5_000 + b"}",
    "30 digits": b"9" * 30,
    "arrays": b"[" * 100_000,
    "whole arrays": b"[" * 500 + b"]" * 500,
    "objects": b'{"a":' * 100_000,
    "twice": b'{"a": 1, "a": 2}',
    "twice, deep": b'[{"b": [{"a": 1, "c": 1, "a": 1}]}]',
    "half a pair": b'{"a": "\\ud800"}',
    "half a pair, a key": b'{"\\uDC00": 1}',
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_what_ser_would_not_have_written_is_refused_and_named(content: bytes) -> None:
    with pytest.raises(DamagedError, match=r"^x\.json is not the JSON that was written there"):
        parse_json(content, "x.json")


def test_what_is_near_to_it_is_taken() -> None:
    deepest = b"[" * DEEPEST + b"]" * DEEPEST
    good = (
        b'{"a": 1e308, "b": 18446744073709551615, "c": "\\ud83d\\ude00", "d": [{"a": 1}, {"a": 2}], "e": %s}' % deepest
    )
    value = parse_json(good, "x.json")
    assert (value["a"], value["b"], value["c"]) == (1e308, 2**64 - 1, "\N{GRINNING FACE}")
    assert parse_object(good, "x.json") == value
    with pytest.raises(DamagedError, match="expected an object"):
        parse_object(b"[]", "x.json")


def test_a_json_file_is_a_file(tmp_path: Path) -> None:
    write_json(tmp_path / "good.json", {"a": 1})
    os.mkfifo(tmp_path / "fifo.json")
    (tmp_path / "link.json").symlink_to("good.json")
    for name in ("fifo.json", "link.json"):
        with pytest.raises(DamagedError, match=f"{name}: expected a regular file"):
            read_json(tmp_path / name)
    assert read_json(tmp_path / "good.json") == {"a": 1}
