"""Whole or absent: how SER writes folders and files that survive a kill and a second process.

Every result is written under a temporary name beside its target and renamed when it is whole. Writers of one
target take turns by a file lock, which the kernel releases when a process dies; whoever holds the lock may
therefore remove the temporary leftovers of the dead.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import filelock

from ser.errors import Code, SerError, StorageError
from ser.os_errors import about
from ser.storage.stamps import STAMP, Stamp, read_stamp
from ser.storage.stored_file import read_file
from ser.storage.strict_json import fingerprint, parse_json

LARGEST_JSON_BYTES = 1 << 30
_LEFTOVER = re.compile(r"\.(.+)\.(?:partial-[a-z0-9_]+|replaced)")
_SECONDS_OF_A_FILE = 3600.0
lock_seconds: ContextVar[float] = ContextVar("lock_seconds", default=-1.0)
"""How long `exclusive` waits for its turn; less than 0 is for ever, as the steps of a pipeline wait for each other. A
server's threads, whose callers do not wait for ever, set it."""


class LockedError(SerError):
    """Another process holds a lock for longer than is waited for it."""

    code = Code.UNAVAILABLE
    retry_after_seconds = 1


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: object) -> None:
    """Writes a JSON file, whole or not at all; floats are finite."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with partial(path) as temporary, about(path):
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)


def read_json(path: Path) -> Any:
    """The value of a JSON file that SER wrote.

    Raises:
        DamagedError: If it is missing, no regular file, or not JSON as `ser.storage.strict_json.parse_json` takes it.
    """
    return parse_json(read_file(path, at_most=LARGEST_JSON_BYTES), str(path))


@contextlib.contextmanager
def exclusive(target: Path) -> Iterator[None]:
    """Holds the lock of a target: of all processes that write it, one at a time is inside.

    The lock file lies beside the target, hidden, and stays: removing it would let two in.

    Raises:
        LockedError: If another process holds it for longer than `lock_seconds`.
        StorageError: If the operating system does not let it be made.
    """
    lock = filelock.FileLock(_lock_of(target))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=lock_seconds.get())
    except filelock.Timeout:
        raise LockedError(
            f"expected the lock of {target.name} within {lock_seconds.get():.3g} s, another process holds it: "
            f"see who writes there, by its file {_lock_of(target).name}"
        ) from None
    except OSError as error:
        raise StorageError(f"the lock of {target.name}", error) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def partial(target: Path) -> Iterator[Path]:
    """A free temporary path beside a target, removed at the end if it is still there."""
    handle, name = tempfile.mkstemp(prefix=_partial_prefix(target), dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    temporary.unlink()
    try:
        yield temporary
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    """Removes a file or a folder with all in it; absent is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def make_folder(
    target: Path,
    made_from: Mapping[str, Any],
    write: Callable[[Path], None],
    *,
    force: bool = False,
    digests: bool = True,
) -> bool:
    """Makes a folder whole, unless it already is what it should be.

    Args:
        target: The folder to make.
        made_from: All that the content follows from, JSON-serialisable. It is kept in the folder's stamp; a
            folder whose stamp says the same is left alone.
        write: Called with an empty folder to fill. When it raises, the target is as it was.
        force: Make it again even though it is there.
        digests: Keep the SHA-256 of each file in the stamp, for whoever reads it back (`ser.storage.stamps`).

    Returns:
        Whether anything was written.

    Raises:
        DamagedError: If the folder that is there has a stamp that was altered, and `force` is not set.
    """
    identity = fingerprint(made_from)
    with exclusive(target):
        recover(target)
        sweep(target.parent)
        if not force and stamp_of(target) == identity:
            return False
        with partial(target) as temporary, about(target):
            temporary.mkdir()
            write(temporary)
            stamp = Stamp.of(temporary, made_from, digests=digests)
            write_json(temporary / STAMP, {**stamp.model_dump(), "digest": stamp.digest})
            replace_folder(target, temporary)
    return True


def stamp_of(folder: Path) -> str | None:
    """The fingerprint of what a folder was made from; None if SER did not make it whole.

    Raises:
        DamagedError: If the stamp was altered.
    """
    stamp = read_stamp(folder)
    return stamp.fingerprint if stamp else None


def replace_folder(target: Path, whole: Path) -> None:
    """Renames a finished folder to its target; the caller holds the target's lock.

    A folder cannot be renamed over a full one: the old one steps aside first, and `recover` puts it back if
    the process dies between the two renames.
    """
    if not target.exists():
        whole.rename(target)
        return
    aside = _aside(target)
    target.rename(aside)
    whole.rename(target)
    remove(aside)


def is_being_replaced(target: Path) -> bool:
    """Whether a folder that is not there is between the two renames of `replace_folder`."""
    return _aside(target).exists()


def recover(target: Path) -> None:
    """Undoes what a killed process left beside a target; the caller holds the target's lock."""
    aside = _aside(target)
    if aside.exists():
        if target.exists():
            remove(aside)
        else:
            aside.rename(target)
    for leftover in target.parent.glob(f"{_partial_prefix(target)}*"):
        remove(leftover)


def sweep(folder: Path, *, alone: bool = False) -> None:
    """Removes what killed processes left of any target in a folder. What somebody is writing just now stays.

    A folder's lock says whether somebody is. Single files may be written without one, in moments: they count as left
    once they are an hour old. What cannot be removed, or is gone already, is not the caller's concern.

    Args:
        folder: Where to look.
        alone: The caller holds a lock that all who write files there take: each is left, however new.
    """
    for leftover in folder.glob(".*"):
        found = _LEFTOVER.fullmatch(leftover.name)
        if found is None:
            continue
        with contextlib.suppress(OSError, filelock.Timeout):
            if leftover.is_dir():
                with filelock.FileLock(_lock_of(folder / found[1]), timeout=0):
                    recover(folder / found[1])
            elif alone or time.time() - leftover.stat().st_mtime > _SECONDS_OF_A_FILE:
                remove(leftover)


def sweep_below(root: Path) -> None:
    """`sweep` in a folder and in all folders below it."""
    for folder, names, _ in os.walk(root):
        sweep(Path(folder))
        names[:] = [name for name in names if not _LEFTOVER.fullmatch(name)]


def _lock_of(target: Path) -> Path:
    return target.parent / f".{target.name}.lock"


def _partial_prefix(target: Path) -> str:
    return f".{target.name}.partial-"


def _aside(target: Path) -> Path:
    return target.parent / f".{target.name}.replaced"
