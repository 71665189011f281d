"""What a stranger may put where SER keeps arrays, beside what SER itself puts there."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ser.errors import DamagedError
from ser.storage.arrays import Expected, check_arrays, load_arrays, map_rows, pack_arrays, save_arrays, unpack_arrays

GOOD = {
    "floats": np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
    "whole": np.array(7),
    "names": np.array(["anna", "Käthe \N{GRINNING FACE}"]),
    "flags": np.array([True, False]),
    "none": np.zeros((0, 3), dtype=np.int64),
}


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode("latin-1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def described(dtype: str, shape: str, data: bytes = b"") -> bytes:
    return npy(f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}", data)


def npz(*members: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as packed:
        for name, content in members:
            packed.writestr(name, content)
    return buffer.getvalue()


def pickled() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, objects=np.array([{}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def flagged(flag: int) -> bytes:
    content = bytearray(npz(("a.npy", described("<f4", "(1,)", b"\0" * 4))))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= flag
    return bytes(content)


def altered() -> bytes:
    content = bytearray(pack_arrays(GOOD))
    content[content.index(b"NUMPY") + 130] ^= 1
    return bytes(content)


HOSTILE = {
    "nothing": b"",
    "no zip": b"PK\x03\x04" + b"\xff" * 60,
    "cut off": pack_arrays(GOOD)[:-30],
    "a bit": altered(),
    "pickle": pickled(),
    "nan": pack_arrays({"a": np.array([0, np.nan], dtype=np.float32)}),
    "infinite": pack_arrays({"a": np.array(np.inf)}),
    "complex": pack_arrays({"a": np.array([1j])}),
    "dates": pack_arrays({"a": np.array(["2020-01-01"], dtype="datetime64[D]")}),
    "records": pack_arrays({"a": np.zeros(2, dtype=[("x", "<f4")])}),
    "big endian": pack_arrays({"a": np.zeros(2, dtype=">f4")}),
    "no text": pack_arrays({"a": np.frombuffer(struct.pack("<2I", 0xD800, 0x61), dtype="<U2")}),
    "no character": npz(("a.npy", described("<U1", "(1,)", struct.pack("<I", 0x110000)))),
    "no flag": npz(("a.npy", described("|b1", "(1,)", b"\x02"))),
    "rows that are not there": npz(("a.npy", described("<f4", "(1000000000000,)", b"\0" * 8))),
    "lists without end": npz(("a.npy", described("<f4", "(1000000000000, 0)"))),
    "strings of nothing": npz(("a.npy", described("<U0", "(1000000000000,)"))),
    "negative": npz(("a.npy", described("<f4", "(-1,)", b"\0" * 4))),
    "a number of digits": npz(("a.npy", described("<f4", f"({'9' * 3000},)"))),
    "nested": npz(("a.npy", npy("(" * 3000))),
    "code": npz(("a.npy", npy("__import__('os').abort()"))),
    "escape": npz(("a.npy", npy("'\\N{x'"))),
    "long header": npz(("a.npy", npy(" " * 60_000))),
    "no header": npz(("a.npy", b"\x93NUMPY\x01\x00\xff\xff")),
    "version 3": npz(("a.npy", b"\x93NUMPY\x03\x00" + b"\0" * 20)),
    "twice": npz(("a.npy", described("<f4", "()", b"\0" * 4)), ("a", described("<f4", "()", b"\0" * 4))),
    "bomb": npz(("a.npy", described("<f4", "(1000000,)", b"\0" * 4_000_000)), compression=zipfile.ZIP_DEFLATED),
    "many": npz(*((f"{number}.npy", b"") for number in range(1_001))),
    "encrypted": flagged(1),
    "patched": flagged(0x20),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_is_no_npz_of_plain_arrays_is_refused_and_named(content: bytes) -> None:
    with pytest.raises(DamagedError, match=r"^model/x\.npz "):
        unpack_arrays(content, "model/x.npz")


def test_plain_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    save_arrays(tmp_path / "x.npz", GOOD)
    found = load_arrays(tmp_path / "x.npz")
    assert found.keys() == GOOD.keys()
    for name, array in GOOD.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
        assert found[name].flags.aligned
        assert found[name].flags.writeable


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"a": Expected("float32", (2, 3)), "b": Expected("str", (None,)), "c": Expected("int64", ())}, "lacks 'c'"),
        ({"a": Expected("float32", (2, 3))}, "has 'b', which is not part of it"),
        ({"a": Expected("float32", (2, 4)), "b": Expected("str", (None,))}, r"a to be float32 of shape \(2, 4\)"),
        ({"a": Expected("float64", (2, 3)), "b": Expected("str", (None,))}, "a to be float64 .*, got float32"),
        ({"a": Expected("float32", (6,)), "b": Expected("str", (None,))}, r"a to be .* \(6\), got .* \(2, 3\)"),
        ({"a": Expected("float32", (2, 3)), "b": Expected("float32", (None,))}, "b to be float32"),
    ],
)
def test_arrays_are_held_against_their_schema(schema: dict[str, Expected], message: str) -> None:
    arrays = {"a": GOOD["floats"], "b": GOOD["names"]}
    check_arrays(arrays, {"a": Expected("float32", (None, 3)), "b": Expected("str", (2,))}, "x.npz")
    with pytest.raises(DamagedError, match=rf"x\.npz.*{message}"):
        check_arrays(arrays, schema, "x.npz")


def test_rows_are_mapped_and_held_against_their_size(tmp_path: Path) -> None:
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    path = tmp_path / "rows.npy"
    np.save(path, rows)
    found = map_rows(path)
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, rows)
    for content in (
        path.read_bytes()[:-4],
        path.read_bytes() + b"\0",
        described("<f4", "(1000000000000, 3)"),
        described("<f8", "(1,)", b"\0" * 8),
        b"",
    ):
        path.write_bytes(content)
        with pytest.raises(DamagedError, match=r"rows\.npy is not the rows that were written there"):
            map_rows(path)


def test_a_file_that_is_none_is_refused_at_once(tmp_path: Path) -> None:
    save_arrays(tmp_path / "good.npz", GOOD)
    os.mkfifo(tmp_path / "fifo.npz")
    (tmp_path / "link.npz").symlink_to("good.npz")
    (tmp_path / "folder.npz").mkdir()
    for name in ("fifo", "link", "folder"):
        with pytest.raises(DamagedError, match=rf"{name}\.npz: expected a regular file"):
            load_arrays(tmp_path / f"{name}.npz")
    with pytest.raises(DamagedError, match=r"other\.npz is missing"):
        load_arrays(tmp_path / "other.npz")
    assert load_arrays(tmp_path / "good.npz")
