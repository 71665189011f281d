"""Files of folders that are data: whoever wrote one, reading it does not hang, leave its folder, or fill memory.

A file is opened once: regular, no link, of a stated size at most. What is hashed is what is read, through one
descriptor, so that nobody can put another file in its place between the two.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ser.errors import DamagedError, StorageError

# Without O_NONBLOCK, opening a FIFO waits for somebody who writes.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
_BLOCK_BYTES = 1 << 20
_NOT_A_FILE = {errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.ENODEV}


class MissingError(DamagedError):
    """A file of SER's own making is not there."""


@dataclass(frozen=True)
class StoredFolder:
    """A folder that is data. No link is followed in it, and it is none itself; links on the way to it are allowed."""

    path: Path
    name: str
    """What to call it in errors: a model's id, an address, or its path."""

    def read(self, name: str, *, at_most: int) -> bytes:
        """A file's content.

        Args:
            name: The file's name, with forward slashes.
            at_most: Largest size in bytes.

        Raises:
            DamagedError: If it is missing, no regular file, behind a link, or larger.
            StorageError: If the operating system does not let it be read.
        """
        with self._open(name, at_most) as (file, size):
            content = file.read(size + 1)
        if len(content) > at_most:  # it grew meanwhile
            raise _too_large(self.where(name), at_most)
        return content

    def sha256(self, name: str, *, at_most: int) -> str:
        """The SHA-256 of a file's content, 64 hexadecimal digits. Raises as `read`."""
        digest = hashlib.sha256()
        with self._open(name, at_most) as (file, _):
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
        return digest.hexdigest()

    def where(self, name: str) -> str:
        """What to call a file in errors."""
        return f"{self.name}/{name}"

    @contextlib.contextmanager
    def _open(self, name: str, at_most: int) -> Iterator[tuple[BinaryIO, int]]:
        with _named(self.where(name)):
            *folders, last = name.split("/")
            within = os.open(self.path, _FOLDER)
            try:
                for folder in folders:
                    deeper = os.open(folder, _FOLDER, dir_fd=within)
                    os.close(within)
                    within = deeper
                descriptor = os.open(last, _FILE, dir_fd=within)
            finally:
                os.close(within)
            with _opened(descriptor, self.where(name), at_most) as file:
                yield file, os.fstat(descriptor).st_size


def read_file(path: Path, *, at_most: int, where: str = "") -> bytes:
    """The content of a file that is data, wherever it lies; its folder may be a link, the file may not.

    Args:
        path: The file.
        at_most: Largest size in bytes.
        where: What to call it in errors, by default its path.

    Raises:
        DamagedError: If it is missing, no regular file, or larger.
        StorageError: If the operating system does not let it be read.
    """
    with open_file(path, at_most=at_most, where=where) as (file, size):
        content = file.read(size + 1)
    if len(content) > at_most:
        raise _too_large(where or str(path), at_most)
    return content


@contextlib.contextmanager
def open_file(path: Path, *, at_most: int, where: str = "") -> Iterator[tuple[BinaryIO, int]]:
    """As `read_file`, opened: the file and its size in bytes."""
    where = where or str(path)
    with _named(where), _opened(os.open(path, _FILE), where, at_most) as file:
        yield file, os.fstat(file.fileno()).st_size


@contextlib.contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turns an error of the operating system into one of SER's that names what it was about.

    Args:
        what: The file or folder, relative to what its reader knows.

    Raises:
        StorageError: In place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(what, error) from error


@contextlib.contextmanager
def _named(where: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise MissingError(f"{where} is missing") from None
    except OSError as error:
        if error.errno in _NOT_A_FILE:
            raise _no_file(where) from None
        raise StorageError(where, error) from error


def _opened(descriptor: int, where: str, at_most: int) -> BinaryIO:
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode):
        os.close(descriptor)
        raise _no_file(where)
    if state.st_size > at_most:
        os.close(descriptor)
        raise _too_large(where, at_most)
    return open(descriptor, "rb")


def _no_file(where: str) -> DamagedError:
    return DamagedError(f"{where}: expected a regular file in a folder without links, got something else")


def _too_large(where: str, at_most: int) -> DamagedError:
    return DamagedError(f"{where}: expected at most {at_most} bytes, there are more")
