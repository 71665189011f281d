"""Work in forks of this process, which has imported everything: a kill costs no import. A fork is a session of its own.

The moment of a kill is a time, or a number of calls of the file system, which Python's audit events count: "open",
"os.rename" and the like. A process that is killed by the count dies before the call is made.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser.storage import scratch

_SECONDS_TO_VANISH = 5.0
_LONGEST_SECONDS = 600.0
_COUNTED = ("open", "os.", "shutil.", "tempfile.", "sqlite3.", "subprocess.")
Work = Callable[[Path], object]


@dataclass(frozen=True)
class Kill:
    """When to kill, and whom."""

    whole_group: bool
    """All processes of the session, or the first only."""
    after_calls: int | None = None
    after_seconds: float | None = None


@dataclass(frozen=True)
class Ended:
    """How a fork ended."""

    status: int
    """Negative: by a signal."""
    seconds: float
    survivors: tuple[str, ...] = ()
    """Commands of its session that lived on for seconds after it."""

    @property
    def killed(self) -> bool:
        """Whether the kill came before its end."""
        return self.status == -signal.SIGKILL


def run(work: Work, folder: Path, kill: Kill | None = None) -> Ended:
    """Runs work over a folder in a fork, and waits for the end of all of its session.

    Raises:
        TimeoutError: If it takes more than ten minutes.
    """
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _child(work, folder, kill)
    if kill and kill.after_seconds is not None:
        _wait(pid, kill.after_seconds)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            (os.killpg if kill.whole_group else os.kill)(pid, signal.SIGKILL)
    status = _wait(pid, _LONGEST_SECONDS, reap=True)
    seconds = time.monotonic() - started
    if status is None:
        end_session(pid)
        raise TimeoutError(f"{folder}: no end within {_LONGEST_SECONDS:g} s")
    return Ended(status, seconds, tuple(outlive(pid)))


def ask(question: Callable[[Path], Any], folder: Path) -> Any:
    """The answer of a function, as JSON, from a fork: what it opens and starts ends with it.

    Raises:
        RuntimeError: If it fails.
    """
    path = folder.parent / "answer.json"
    path.unlink(missing_ok=True)
    ended = run(lambda folder: path.write_text(json.dumps(question(folder))), folder)
    if ended.status:
        raise RuntimeError(f"{folder}: see {log_of(folder)}")
    return json.loads(path.read_text())


def count_calls(work: Work, folder: Path) -> tuple[int, float]:
    """How many calls of the file system work makes, and how long it takes."""
    path = folder.parent / "calls.json"

    def counted(folder: Path) -> None:
        number = 0

        def count(event: str, _: Any) -> None:
            nonlocal number
            number += event.startswith(_COUNTED)

        sys.addaudithook(count)
        work(folder)
        path.write_text(json.dumps(number))

    ended = run(counted, folder)
    if ended.status:
        raise RuntimeError(f"{folder}: the run that is never killed fails, see {log_of(folder)}")
    return json.loads(path.read_text()), ended.seconds


def temporary_of(folder: Path) -> Path:
    """The temporary folder of forks over a folder."""
    return folder.parent / "tmp"


def log_of(folder: Path) -> Path:
    """What forks over a folder print."""
    return folder.parent / "log.txt"


def session(sid: int) -> dict[int, str]:
    """The processes of a session that are alive: id to command."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == sid and fields[0] != "Z":
                command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found[int(path.name)] = command.strip()
    return found


def outlive(sid: int) -> list[str]:
    """The commands that are left of a session whose first process has died, after some seconds; they are ended."""
    give_up = time.monotonic() + _SECONDS_TO_VANISH
    while (left := session(sid)) and time.monotonic() < give_up:
        time.sleep(0.05)
    end_session(sid)
    return sorted(command[:200] for command in left.values())


def end_session(sid: int) -> None:
    """Kills what there is of a session."""
    for pid in session(sid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def surround(folder: Path) -> dict[str, str]:
    """The environment of processes over a folder: temporary files and caches of their own."""
    temporary_of(folder).mkdir(exist_ok=True)
    return {"TMPDIR": str(temporary_of(folder)), "SER_CACHE_ROOT": str(folder.parent / "cache")}


def _child(work: Work, folder: Path, kill: Kill | None) -> None:
    """Never returns."""
    status = 1
    try:
        os.setsid()
        os.environ.update(surround(folder))
        log = os.open(log_of(folder), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        if kill and kill.after_calls is not None:
            _die_after(kill.after_calls, kill.whole_group)
        with _own_temporary_files():
            work(folder)
        status = 0
    except BaseException:  # noqa: BLE001 - a fork must not go on with its parent's work
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(status)


@contextlib.contextmanager
def _own_temporary_files() -> Iterator[None]:
    """What a process of its own would have from its import of TensorFlow: temporary files that go away with it."""
    tempfile.tempdir = None
    scratch._of_this_process = contextlib.ExitStack()
    with scratch._of_this_process:
        if "tensorflow" in sys.modules:
            scratch.keep_temporary_files_in_scratch()
        yield


def _die_after(calls: int, whole_group: bool) -> None:
    left = calls

    def count(event: str, _: Any) -> None:
        nonlocal left
        if event.startswith(_COUNTED):
            left -= 1
            if left == 0:
                (os.killpg if whole_group else os.kill)(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def _wait(pid: int, seconds: float, *, reap: bool = False) -> int | None:
    """The exit status once it has ended, or None; without `reap` it stays to be waited for."""
    give_up = time.monotonic() + seconds
    options = os.WEXITED | os.WNOHANG | (0 if reap else os.WNOWAIT)
    while True:
        found = os.waitid(os.P_PID, pid, options)
        if found is not None:
            return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
        if time.monotonic() > give_up:
            return None
        time.sleep(0.002)
