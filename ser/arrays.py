"""Arrays on disk: .npz files of plain numbers and strings, nothing pickled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except FileNotFoundError:
        raise DamagedError(f"{path} is missing") from None
    except (ValueError, OSError, EOFError, KeyError) as error:
        raise DamagedError(f"{path} is not the arrays that were written there: {error}") from None
