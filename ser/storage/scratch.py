"""Temporary folders that do not outlive their owner for long: who makes the next one removes those of the dead.

Each folder has a lock file beside it, locked as long as its owner lives; the kernel releases the lock however the owner
ends. A folder whose lock can be had is therefore nobody's.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ser.storage.files import remove

_PREFIX, _LOCK = "ser-scratch-", ".lock"
_of_this_process = contextlib.ExitStack()


@contextlib.contextmanager
def scratch_folder(root: Path) -> Iterator[Path]:
    """A new folder that belongs to this process, removed at the end; before that, what the dead left is removed.

    Args:
        root: Where to make it; it is made too if it is missing.

    Raises:
        OSError: If it cannot be made: no space, no permission.
    """
    root.mkdir(parents=True, exist_ok=True)
    sweep_scratch(root)
    lock, descriptor = _take(root)
    try:
        folder = _folder_of(lock)
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        _discard(lock, descriptor)


def sweep_scratch(root: Path) -> None:
    """Removes the scratch folders in `root` whose owners are dead; those that belong to other users stay."""
    for lock in root.glob(f"{_PREFIX}*{_LOCK}"):
        with contextlib.suppress(OSError):  # another user's, or somebody else has just swept it
            descriptor = os.open(lock, os.O_RDWR)
            if _lock(descriptor):
                _discard(lock, descriptor)
            else:
                os.close(descriptor)


def keep_temporary_files_in_scratch() -> None:
    """Has the temporary files of this process lie in a scratch folder until it ends; calling it once is enough.

    For libraries whose files are removed by code that does not run when the process is killed.
    """
    current = tempfile.gettempdir()
    if not Path(current).name.startswith(_PREFIX):
        folder = _of_this_process.enter_context(scratch_folder(Path(current)))
        atexit.register(_of_this_process.close)
        tempfile.tempdir = str(folder)


def _take(root: Path) -> tuple[Path, int]:
    """A new lock file and its descriptor, locked."""
    while True:
        lock = root / f"{_PREFIX}{secrets.token_hex(8)}{_LOCK}"
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        # Between the two somebody who sweeps may have locked it, or have removed it already.
        if _lock(descriptor) and lock.exists():
            return lock, descriptor
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _discard(lock: Path, descriptor: int) -> None:
    try:
        remove(_folder_of(lock))
        lock.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _folder_of(lock: Path) -> Path:
    return lock.with_suffix("")
