"""Arrays on disk, or as bytes: .npz files of plain numbers and strings, nothing pickled.

What is read may have been written by a stranger. So nothing is unpacked or evaluated: an .npz is a zip of stored
members, the header of each is of the one form that NumPy writes, and has to account for every byte behind it before
an array is made. Floats are finite, strings are text.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser.errors import DamagedError
from ser.storage.stored_file import open_file, read_file

Array = npt.NDArray[Any]

LARGEST_BYTES = 4 << 30
"""Largest .npz that is read whole."""
LARGEST_MAPPED_BYTES = 1 << 44
"""Largest .npy that is mapped."""
_MOST_ARRAYS = 1_000
_LONGEST_HEADER = 4_096
_HEADER = re.compile(
    rb"\{'descr': '(\|[biu]1|<[iu][248]|<f[248]|<U[1-9]\d{0,5})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,18},(?: \d{1,18})?(?:, \d{1,18}){0,30})?)\), \} *\n"
)
_ZIP_ERRORS = (zipfile.BadZipFile, ValueError, OSError, EOFError, RuntimeError, struct.error, OverflowError)
"""What `zipfile` raises of bytes that are no zip; NotImplementedError is a RuntimeError."""


@dataclass(frozen=True)
class Expected:
    """What an array must be."""

    dtype: str
    """As of NumPy, "float32"; "str" for strings of any length."""
    shape: tuple[int | None, ...]
    """None for any length."""

    def __str__(self) -> str:
        lengths = ", ".join("any" if length is None else str(length) for length in self.shape)
        return f"{self.dtype} of shape ({lengths})"


def save_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Writes arrays to an .npz file; finite numbers, booleans and strings only, never pickled objects."""
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **dict(arrays))


def load_arrays(path: Path) -> dict[str, Array]:
    """Reads all arrays of an .npz file.

    Raises:
        DamagedError: If the file is missing or is not an .npz of plain arrays.
    """
    return unpack_arrays(read_file(path, at_most=LARGEST_BYTES), str(path))


def pack_arrays(arrays: Mapping[str, Array]) -> bytes:
    """What `save_arrays` would write."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **dict(arrays))
    return buffer.getvalue()


def unpack_arrays(content: bytes, where: str) -> dict[str, Array]:
    """The inverse of `pack_arrays`.

    Args:
        content: The bytes of an .npz file.
        where: What to call it in an error.

    Raises:
        DamagedError: If they are not an .npz of plain arrays, or a number in them is not finite.
    """
    try:
        return dict(_read(content))
    except _ZIP_ERRORS as error:
        raise DamagedError(f"{where} is not the arrays that were written there: {error}") from None


def check_arrays(arrays: Mapping[str, Array], schema: Mapping[str, Expected], where: str) -> None:
    """Holds arrays against what they must be.

    Args:
        arrays: By name.
        schema: What each must be; there are no others.
        where: What to call the file in an error.

    Raises:
        DamagedError: If one is missing, comes besides, or is something else.
    """
    if missing := [name for name in schema if name not in arrays]:
        raise DamagedError(f"{where} lacks {missing[0]!r}")
    if strange := sorted(arrays.keys() - schema.keys()):
        raise DamagedError(f"{where} has {strange[0][:100]!r}, which is not part of it")
    for name, expected in schema.items():
        array = arrays[name]
        dtype = "str" if array.dtype.kind == "U" else array.dtype.name
        fits = len(array.shape) == len(expected.shape) and all(
            wanted in (None, length) for wanted, length in zip(expected.shape, array.shape, strict=True)
        )
        if dtype != expected.dtype or not fits:
            raise DamagedError(f"{where}: expected {name} to be {expected}, got {dtype} of shape {array.shape}")


def parse_header(content: bytes) -> tuple[np.dtype[Any], tuple[int, ...], bool, int]:
    """What the beginning of an .npy file says.

    Args:
        content: The file, or its first 4,096 bytes.

    Returns:
        dtype, shape, whether columns are contiguous (Fortran's order), and where the values begin.

    Raises:
        ValueError: If it is not of the form that NumPy writes.
    """
    if content[:8] not in (b"\x93NUMPY\x01\x00", b"\x93NUMPY\x02\x00"):
        raise ValueError("expected an array of NumPy's format 1 or 2")
    lead = 10 if content[6] == 1 else 12
    start = lead + int.from_bytes(content[8:lead], "little")
    found = _HEADER.fullmatch(content[lead:start]) if start <= _LONGEST_HEADER else None
    if found is None or len(content) < start:
        raise ValueError("expected the header of an array of numbers or strings")
    shape = tuple(int(length) for length in re.findall(rb"\d+", found[3]))
    return np.dtype(found[1].decode()), shape, found[2] == b"True", start


def _read(content: bytes) -> list[tuple[str, Array]]:
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        members = packed.infolist()
        if len(members) > _MOST_ARRAYS:
            raise ValueError(f"expected at most {_MOST_ARRAYS} arrays, got {len(members)}")
        names = [member.filename.removesuffix(".npy") for member in members]
        if len(set(names)) != len(names):
            raise ValueError("an array comes twice")
        # Stored members that do not lie over each other are no larger than the file.
        if sum(member.file_size for member in members) > len(content):
            raise ValueError("expected arrays that are no larger than their file")
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("expected arrays that are not compressed")
        return [(name, _array(name, packed.read(member))) for name, member in zip(names, members, strict=True)]


def _array(name: str, content: bytes) -> Array:
    dtype, shape, by_columns, start = parse_header(content)
    # A shape like (10^12, 0) takes no byte, and is a list of 10^12 lists to whoever makes a list of it.
    if max(shape, default=0) > len(content) or math.prod(shape) * dtype.itemsize != len(content) - start:
        raise ValueError(f"{name[:100]!r} says that it has shape {shape}, which its size belies")
    array = np.frombuffer(content, dtype, offset=start).reshape(shape, order="F" if by_columns else "C").copy()
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name[:100]!r} has numbers that are not finite")
    if dtype.kind == "U":
        code_points = np.frombuffer(content, np.uint32, offset=start)
        if ((code_points > 0x10FFFF) | ((code_points >= 0xD800) & (code_points <= 0xDFFF))).any():
            raise ValueError(f"{name[:100]!r} has strings that are no text")
    if dtype.kind == "b" and (np.frombuffer(content, np.uint8, offset=start) > 1).any():
        raise ValueError(f"{name[:100]!r} has truth values that are none")
    return array


def map_rows(path: Path, where: str = "") -> npt.NDArray[np.float32]:
    """The float32 array of an .npy file, memory-mapped: nothing of it is read before it is used.

    Args:
        path: The file.
        where: What to call it in an error, by default its path.

    Raises:
        DamagedError: If it is missing or something else.
    """
    where = where or str(path)
    with open_file(path, at_most=LARGEST_MAPPED_BYTES, where=where) as (file, size):
        try:
            dtype, shape, by_columns, start = parse_header(file.read(_LONGEST_HEADER))
            if dtype != np.float32 or by_columns or math.prod(shape) * dtype.itemsize != size - start:
                raise ValueError(f"expected float32 rows that fill it, it says {dtype} of shape {shape}")
            if not math.prod(shape):
                return np.zeros(shape, dtype=np.float32)
            mapped = np.memmap(file, dtype, "r", start, shape)
            mapped.filename = str(path.absolute())  # it was opened by a descriptor, which has no name
            return mapped
        except (ValueError, OSError) as error:
            raise DamagedError(f"{where} is not the rows that were written there: {error}") from None
