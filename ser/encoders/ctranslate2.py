"""Reads the weights that CTranslate2 keeps a model in: `model.bin`, binary format 6.

Little-endian: version; name of the specification; its revision; how many variables; then of each its name, its rank and
lengths, the number of its type, how many bytes, and these.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from ser.errors import DamagedError

VERSION = 6
_DTYPES: Mapping[int, np.dtype[Any]] = MappingProxyType(
    {number: np.dtype(code) for number, code in enumerate(("<f4", "<i1", "<i2", "<i4", "<f2"))}
)


def read_variables(content: bytes, where: str) -> dict[str, npt.NDArray[Any]]:
    """The variables of a model, views of the content.

    Args:
        content: The file's bytes.
        where: What to call the file in an error.

    Raises:
        DamagedError: If it is no such file, or ends too early.
    """
    reader = _Reader(content)
    try:
        if (version := reader.number("<I")) != VERSION:
            raise ValueError(f"expected version {VERSION}, got {version}")
        reader.text()
        reader.number("<I")
        return dict(_variable(reader) for _ in range(reader.number("<I")))
    except (ValueError, KeyError, struct.error) as error:
        raise DamagedError(f"{where} is no model of CTranslate2: {error}") from error


def _variable(reader: _Reader) -> tuple[str, npt.NDArray[Any]]:
    name = reader.text()
    shape = [reader.number("<I") for _ in range(reader.number("<B"))]
    dtype = _DTYPES[reader.number("<B")]
    return name, np.frombuffer(reader.take(reader.number("<I")), dtype).reshape(shape)


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)
        self._at = 0

    def take(self, count: int) -> memoryview:
        part = self._content[self._at : self._at + count]
        if len(part) != count:
            raise ValueError("it ends too early")
        self._at += count
        return part

    def number(self, form: str) -> int:
        return int(struct.unpack(form, self.take(struct.calcsize(form)))[0])

    def text(self) -> str:
        return bytes(self.take(self.number("<H"))).rstrip(b"\0").decode()
