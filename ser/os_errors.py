"""Errors of the operating system, as a full disk: which file or folder they are about, and what to do."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ser.errors import SerError

_ADVICE = {
    errno.ENOSPC: "make room there, or choose another folder",
    errno.EDQUOT: "make room there, or choose another folder",
    errno.EACCES: "let it be read and written, or choose another folder",
    errno.EPERM: "let it be read and written, or choose another folder",
    errno.EROFS: "choose a folder that can be written",
    errno.ENOTDIR: "choose a folder whose path has no file in it",
    errno.EISDIR: "choose another name",
    errno.ENAMETOOLONG: "choose a folder with a shorter path",
    errno.EMFILE: "allow the process more open files (ulimit -n)",
    errno.ENFILE: "let the machine have more open files",
}
_OF_THE_TARGET = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # where one file is copied to another
_FULL_BYTES = 64 << 10


@contextlib.contextmanager
def about(path: Path) -> Iterator[None]:
    """Has an OSError inside that names no file, as that of a write to a full disk, name this one.

    NumPy's have no number either: where the disk is full, they get that one.
    """
    try:
        yield
    except OSError as error:
        if type(error) is OSError and error.errno is None:
            number = errno.ENOSPC if _is_full(path.parent) else errno.EIO
            raise OSError(number, os.strerror(number), str(path)) from error
        if error.filename is None:
            error.filename = str(path)
        raise


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for temporary files, which is gone at the end; where its disk is full, the error is an OSError.

    Libraries say otherwise that they cannot write, or fail on what they wrote by half.

    Raises:
        OSError: In place of whatever was raised inside, if the disk of temporary files is full.
    """
    with about(Path(tempfile.gettempdir())), tempfile.TemporaryDirectory() as name:
        try:
            yield Path(name)
        except (OSError, SerError):
            raise
        except Exception as error:
            if os.strerror(errno.ENOSPC) in str(error) or _is_full(Path(name)):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), tempfile.gettempdir()) from error
            raise


def _is_full(folder: Path) -> bool:
    return shutil.disk_usage(folder).free < _FULL_BYTES


def told(error: OSError) -> str:
    """What happened, to which file or folder, and what to do about it: a sentence."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list) and error.args[0]:
        _, path, reason = error.args[0][0]  # of a folder that was copied, the first file that could not be
        return f"{path}: {reason}"
    reason = error.strerror or " ".join(map(str, error.args)) or type(error).__name__
    # A temporary folder has a name that nobody knows, and may be gone.
    place = error.filename2 if error.errno in _OF_THE_TARGET and error.filename2 else error.filename
    path = os.fsdecode(place) if isinstance(place, str | bytes | os.PathLike) else ""
    temporary = tempfile.gettempdir()
    is_temporary = path == temporary or path.startswith(os.path.join(temporary, "tmp"))  # noqa: PTH118
    advice = _ADVICE.get(error.errno or 0, "")
    if is_temporary and advice:
        advice = "make room there, or let TMPDIR name another folder for temporary files"
        path = temporary
    return (f"{path}: " if path else "") + reason + (f"; {advice}" if advice else "")
