"""The stamp of a folder of ours: what the folder was made from, and the SHA-256 of each file that was written into it.

Whatever reads such a file later, here or from an object store, can tell whether it is still what was written.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pydantic

from ser.errors import DamagedError
from ser.storage.stored_file import StoredFolder
from ser.storage.strict_json import fingerprint, parse_json

STAMP = "stamp.json"
"""The file in a folder of ours that says what the folder was made from."""
LARGEST_STAMP_BYTES = 64 << 20
_LARGEST_FILE_BYTES = 1 << 44


class Stamp(pydantic.BaseModel):
    """What stamp.json says."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    fingerprint: str
    """Of `made_from`."""
    made_from: dict[str, Any]
    """All that the content follows from."""
    files: dict[str, str]
    """Name to SHA-256 of each file that was written."""

    @property
    def digest(self) -> str:
        """Of the stamp itself."""
        return fingerprint(self.model_dump())

    @classmethod
    def of(cls, folder: Path, made_from: Mapping[str, Any], *, digests: bool) -> Stamp:
        """The stamp of a folder as it lies there.

        Args:
            folder: A finished folder.
            made_from: All that its content follows from, JSON-serialisable.
            digests: Whether to take the files' digests.
        """
        names = _names(folder) if digests else []
        stored = StoredFolder(folder, str(folder))
        return cls(
            fingerprint=fingerprint(made_from),
            made_from=dict(made_from),
            files={name: stored.sha256(name, at_most=_LARGEST_FILE_BYTES) for name in names},
        )

    @classmethod
    def parse(cls, content: bytes, where: str) -> Stamp | None:
        """Reads stamp.json; None of a version of SER that kept no digests.

        Args:
            content: The file's bytes.
            where: What to call it in an error.

        Raises:
            DamagedError: If it was altered.
        """
        value = parse_json(content, where)
        if isinstance(value, dict) and value.keys() == {"fingerprint", "made_from"}:
            return None
        digest = value.pop("digest", None) if isinstance(value, dict) else None
        try:
            stamp = cls.model_validate(value)
        except pydantic.ValidationError:
            raise DamagedError(f"{where} is not the stamp that was written there") from None
        if digest != fingerprint(value):
            raise DamagedError(f"{where} was altered since it was written")
        return stamp

    def check(self, folder: StoredFolder, name: str) -> None:
        """Holds a file against the digest that was written with it; once a process, unless it changes.

        Raises:
            DamagedError: If it is missing, altered, or not of those that were written.
        """
        if _digest(folder, name, _state(folder, name)) != self.files.get(name):
            raise altered(folder.where(name))

    def verify(self, name: str, content: bytes, where: str) -> None:
        """Holds the content of a file against the digest that was written with it.

        Args:
            name: The file's name in the folder.
            content: All of it.
            where: What to call it in an error.

        Raises:
            DamagedError: If it was altered, or is not of those that were written.
        """
        if hashlib.sha256(content).hexdigest() != self.files.get(name):
            raise altered(where)


def read_stamp(folder: StoredFolder | Path) -> Stamp | None:
    """The stamp of a folder; None if SER did not make it whole.

    Raises:
        DamagedError: If the stamp was altered.
    """
    stored = folder if isinstance(folder, StoredFolder) else StoredFolder(folder, str(folder))
    if not (stored.path / STAMP).exists():
        return None
    return Stamp.parse(stored.read(STAMP, at_most=LARGEST_STAMP_BYTES), stored.where(STAMP))


def check_folder(folder: StoredFolder | Path) -> Stamp:
    """Holds every file that was written into a folder against its digest.

    Returns:
        The stamp.

    Raises:
        DamagedError: If SER did not make the folder whole, or a file is missing or altered; the message names it.
    """
    stored = folder if isinstance(folder, StoredFolder) else StoredFolder(folder, str(folder))
    stamp = read_stamp(stored)
    if stamp is None:
        raise DamagedError(f"{stored.where(STAMP)} is missing, or of an older version: make the folder again")
    for name in stamp.files:
        stamp.check(stored, name)
    return stamp


def altered(where: str) -> DamagedError:
    """Says that a file is not what was written there."""
    reason = "its SHA-256 is not the one that it was written with"
    return DamagedError(f"{where} was altered: {reason}; make it again with force (dataset_force for a corpus)")


def _names(folder: Path) -> list[str]:
    """The files below a folder, hidden ones and links left out."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    relative = (path.relative_to(folder) for path in found)
    return sorted(path.as_posix() for path in relative if not any(part.startswith(".") for part in path.parts))


def _state(folder: StoredFolder, name: str) -> tuple[int, ...]:
    try:
        state = os.lstat(folder.path / name)
    except FileNotFoundError:
        raise DamagedError(f"{folder.where(name)} is missing") from None
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


@lru_cache(maxsize=1024)
def _digest(folder: StoredFolder, name: str, state: tuple[int, ...]) -> str:  # noqa: ARG001 - of this state
    return folder.sha256(name, at_most=_LARGEST_FILE_BYTES)
