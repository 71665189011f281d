"""How long one input may take, and how much memory."""

from __future__ import annotations

import contextlib
import resource
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """Of one input."""

    cpu_seconds: float = 2.0
    megabytes: int = 1_024
    """Address space beyond what the process has when it starts."""


class TooSlowError(BaseException):
    """An input took more processor time than it may; nothing of SER's catches it."""


def bound_memory(megabytes: int) -> None:
    """Lets this process have so much more address space than it has; more raises MemoryError, or ends it."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + (megabytes << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@contextlib.contextmanager
def bounded_time(cpu_seconds: float) -> Iterator[None]:
    """Ends what is inside after so much processor time; what never comes back to Python is killed by the parent.

    Raises:
        TooSlowError: From wherever the process was.
    """

    def stop(number: int, frame: object) -> None:  # noqa: ARG001 - as signal wants it
        raise TooSlowError(f"more than {cpu_seconds:g} s of processor time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has had; 0 of one that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / 100
