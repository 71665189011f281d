"""What is wrong with the queue when the operating system or SQLite refuses, in words for callers and for the log."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ser.errors import Code, SerError

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class QueueError(SerError):
    """The queue of training jobs cannot be used; once its cause is gone the same call succeeds."""

    code = Code.UNAVAILABLE
    retry_after_seconds = 10


class QueueBusyError(QueueError):
    """Another process holds the lock of the queue's database for longer than anybody should."""

    retry_after_seconds = 2


class QueueFullDiskError(QueueError):
    """There is no space on the disk of the queue."""

    code = Code.RESOURCE_EXHAUSTED
    http_status = 507
    retry_after_seconds = 60


class QueueDamagedError(QueueError):
    """The queue's file is not the database that was written there."""

    code = Code.DATA_LOSS


class NewerQueueError(SerError):
    """The queue was written by a later version of SER."""

    code = Code.FAILED_PRECONDITION


@contextlib.contextmanager
def queue_errors(path: Path) -> Iterator[None]:
    """Turns what SQLite and the operating system raise into a `QueueError` that names the queue's file."""
    try:
        yield
    except sqlite3.Error as error:
        raise _of_sqlite(error, path) from error
    except OSError as error:
        kind = QueueFullDiskError if error.errno in (errno.ENOSPC, errno.EDQUOT) else QueueError
        raise kind(f"{_named(path)}: {error.strerror or error}") from error


def _of_sqlite(error: sqlite3.Error, path: Path) -> SerError:
    number = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest says which way of the kind
    named = _named(path)
    if number in _BUSY:
        return QueueBusyError(f"{named} is locked by another process; try again")
    if number == sqlite3.SQLITE_FULL:
        return QueueFullDiskError(f"{named}: no space left on its disk; free some, and try again")
    if number in _DAMAGED:
        return QueueDamagedError(f"{named} is not the database that was written there: restore a backup of it")
    return QueueError(f"{named} cannot be read or written: {error}")


def _named(path: Path) -> str:
    """The file by the setting of its folder: where that lies is the operator's affair."""
    return f"the queue of training jobs, {path.name} in the state folder (SER_STATE_ROOT),"
