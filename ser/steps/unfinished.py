"""Rows of an extraction that is under way, kept batch by batch: one that was killed goes on where it was.

.<name>.unfinished/     beside the feature folder, hidden
rows.npy, ...       as far as they are written
batches.jsonl       what they are of; then a line a whole batch, with length and SHA-256 of what it added
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
import numpy.typing as npt

from ser.storage.files import LockedError, exclusive, lock_seconds, remove

_JOURNAL = "batches.jsonl"
_SUFFIX = ".unfinished"
_KEPT_SECONDS = 7 * 24 * 3600.0
"""What nobody has gone on with for so long is removed."""


class UnfinishedRows:
    """Arrays of float32 that grow by the rows of one batch after another; a context. The caller holds the lock.

    Attributes:
        batches: How many are there, of this run and of those that were killed.
    """

    def __init__(self, features: Path, made_from: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Names the files; touches none.

        Args:
            features: The feature folder that they are for.
            made_from: What rows and batches follow from: what is there of something else is removed.
            shapes: Name of each file to the shape that its array will have.
        """
        self.batches = 0
        self._folder, self._made_from, self._shapes = unfinished_folder(features), made_from, shapes
        self._files: list[BinaryIO] = []
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        names = (_JOURNAL, *self._shapes)
        self._files = [self._open.enter_context((self._folder / name).open("a+b")) for name in names]
        self.batches = self._go_on()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._open.close()
        if isinstance(error, OSError):  # a full disk needs the room
            remove(self._folder)

    def add(self, arrays: Sequence[npt.NDArray[np.float32]]) -> None:
        """Adds the rows of a batch.

        Args:
            arrays: float32, a part of each file's array, in the order of the files.
        """
        self._write({}, [np.ascontiguousarray(array, dtype="<f4").data.cast("B") for array in arrays])
        self.batches += 1

    def link_into(self, folder: Path) -> None:
        """Puts the files, which must be whole, into a folder as well; they stay here until the folder counts."""
        for file, name in zip(self._files[1:], self._shapes, strict=True):
            file.flush()
            try:
                os.link(self._folder / name, folder / name)
            except OSError:  # a file system without hard links
                (self._folder / name).replace(folder / name)

    def _go_on(self) -> int:
        """Cuts what is there down to whole batches of the same rows; how many those are."""
        journal, *files = self._files
        for file in self._files:
            file.seek(0)
        ends, whole = [0] * len(self._files), -1
        for line in journal.read().splitlines(keepends=True):
            entry = _parse(line)
            if (whole < 0) is not (entry.get("made_from") == self._made_from) or not _holds(entry, files):
                break
            whole += 1
            ends = [ends[0] + len(line), *(file.tell() for file in files)]
        for file, end in zip(self._files, ends, strict=True):
            file.truncate(end)
        if whole < 0:
            self._write({"made_from": self._made_from}, [_header(shape) for shape in self._shapes.values()])
        return max(0, whole)

    def _write(self, entry: Mapping[str, str], chunks: Sequence[bytes | memoryview]) -> None:
        journal, *files = self._files
        for file, chunk in zip(files, chunks, strict=True):
            file.write(chunk)
            file.flush()
        added = [[len(chunk), hashlib.sha256(chunk).hexdigest()] for chunk in chunks]
        journal.write(json.dumps({**entry, "added": added}).encode() + b"\n")
        journal.flush()


def unfinished_folder(features: Path) -> Path:
    """Where the rows for a feature folder are as long as it is not whole."""
    return features.parent / f".{features.name}{_SUFFIX}"


def remove_unfinished(features: Path) -> None:
    """Removes what is there of a feature folder that is whole, or is to be made anew."""
    with exclusive(features):
        remove(unfinished_folder(features))


def sweep_unfinished(parent: Path) -> None:
    """Removes what killed extractions have left in a folder, and nobody has gone on with for a week."""
    for folder in parent.glob(f".*{_SUFFIX}"):
        token = lock_seconds.set(0)
        try:
            with contextlib.suppress(OSError, LockedError):
                if time.time() - (folder / _JOURNAL).stat().st_mtime > _KEPT_SECONDS:
                    remove_unfinished(parent / folder.name.removeprefix(".").removesuffix(_SUFFIX))
        finally:
            lock_seconds.reset(token)


def _parse(line: bytes) -> dict[str, object]:
    """An entry of the journal; empty of a line that is not whole."""
    with contextlib.suppress(ValueError):
        entry = json.loads(line) if line.endswith(b"\n") else None
        if isinstance(entry, dict):
            return entry
    return {}


def _holds(entry: Mapping[str, object], files: Sequence[BinaryIO]) -> bool:
    """Whether what an entry says comes next in the files does."""
    added = entry.get("added")
    return (
        isinstance(added, list)
        and len(added) == len(files)
        and all(
            hashlib.sha256(file.read(length)).hexdigest() == digest
            for file, (length, digest) in zip(files, added, strict=True)
        )
    )


def _header(shape: tuple[int, ...]) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return header.getvalue()
