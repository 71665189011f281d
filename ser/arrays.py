"""Arrays on disk, or as bytes: .npz files of plain numbers and strings, nothing pickled."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ser.errors import DamagedError

Array = npt.NDArray[Any]


def save_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Writes arrays to an .npz file; numbers, booleans and strings only, never pickled objects."""
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **dict(arrays))


def load_arrays(path: Path) -> dict[str, Array]:
    """Reads all arrays of an .npz file, refusing pickled ones.

    Raises:
        DamagedError: If the file is missing or is not an .npz of plain arrays.
    """
    try:
        return _read(path, str(path))
    except FileNotFoundError:
        raise DamagedError(f"{path} is missing") from None


def pack_arrays(arrays: Mapping[str, Array]) -> bytes:
    """What `save_arrays` would write."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **dict(arrays))
    return buffer.getvalue()


def unpack_arrays(content: bytes, where: str) -> dict[str, Array]:
    """The inverse of `pack_arrays`, refusing pickled arrays.

    Args:
        content: The bytes of an .npz file.
        where: What to call it in an error.

    Raises:
        DamagedError: If they are not an .npz of plain arrays.
    """
    return _read(io.BytesIO(content), where)


def _read(file: Path | BinaryIO, where: str) -> dict[str, Array]:
    try:
        with np.load(file, allow_pickle=False) as loaded:
            return {key: loaded[key] for key in loaded.files}
    except FileNotFoundError:
        raise
    except (ValueError, OSError, EOFError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise DamagedError(f"{where} is not the arrays that were written there: {error}") from None
