"""What people and scripts see: progress as bars or lines, an error as one line and an exit status."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from ser.errors import Code, SerError, StorageError
from ser.os_errors import told
from ser.progress import Progress, Reporter

EXIT_STATUS: Mapping[Code, int] = MappingProxyType(
    {
        Code.INVALID_ARGUMENT: 2,
        Code.NOT_FOUND: 3,
        Code.FAILED_PRECONDITION: 4,
        Code.RESOURCE_EXHAUSTED: 5,
        Code.DATA_LOSS: 6,
        Code.PERMISSION_DENIED: 8,
        Code.UNAUTHENTICATED: 8,
        Code.UNAVAILABLE: 8,
        Code.DEADLINE_EXCEEDED: 8,
        Code.CANCELLED: 8,
        Code.INTERNAL: 1,
    }
)
"""Exit status of a process by the code of the error that ends it."""
OS_ERROR_STATUS = 7
"""Exit status when the operating system refused, as for a full disk."""
ERROR_PREFIX = "ser: "
"""How the line of an error of `ser` begins."""

_TITLES: Mapping[str, str] = MappingProxyType(
    {
        "download": "Download",
        "synthesise": "Synthesise",
        "extract": "Unpack",
        "prepare": "Check audio",
        "features": "Features",
        "train": "Train",
        "evaluate": "Evaluate",
    }
)
_SECONDS_BETWEEN_LINES = 3.0


@contextlib.contextmanager
def progress_display(stream: TextIO | None = None) -> Iterator[Reporter]:
    """Shows progress on a stream, by default standard error, so that standard output stays for results."""
    console = Console(file=stream or sys.stderr)
    if console.is_terminal:
        bars = _Bars(console)
        with bars.display:
            yield bars
    else:
        yield _Lines(stream or sys.stderr)


@contextlib.contextmanager
def errors_as_lines(program: str = "ser") -> Iterator[None]:
    """Turns an error of the user's or the machine's into one line on standard error and an exit status.

    Args:
        program: Whose line it is; it begins with that.

    Raises:
        SystemExit: In place of the error. A defect of SER itself passes through with its traceback.
    """
    try:
        yield
    except StorageError as error:
        _exit(program, str(error), OS_ERROR_STATUS)
    except SerError as error:
        _exit(program, str(error), EXIT_STATUS[error.code])
    except OSError as error:
        _exit(program, told(error), OS_ERROR_STATUS)


@contextlib.contextmanager
def step_console() -> Iterator[Reporter]:
    """The console of a pipeline step: progress as lines, errors as `errors_as_lines`."""
    with errors_as_lines(), progress_display() as report:
        yield report


def _exit(program: str, message: str, status: int) -> None:
    sys.stderr.write(f"{program}: {' '.join(message.split())}\n")
    sys.exit(status)


def _title(stage: str) -> str:
    return _TITLES.get(stage, stage.capitalize())


def _figures(values: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in values.items())


class _Bars:
    def __init__(self, console: Console) -> None:
        self.display = Bars(
            TextColumn("{task.description:<12}"),
            BarColumn(bar_width=32),
            TextColumn("{task.fields[amount]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[figures]}"),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, progress: Progress) -> None:
        if progress.stage not in self._tasks:
            self._tasks[progress.stage] = self.display.add_task(
                _title(progress.stage), total=progress.total, amount="", figures=""
            )
        self.display.update(
            self._tasks[progress.stage],
            completed=progress.done,
            total=progress.total,
            amount=_amount(progress),
            figures=_figures(progress.values),
        )


class _Lines:
    """A line when a stage is done, and one every few seconds until then: a log is read, not watched."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._told = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        finished = progress.done == progress.total
        if finished or time.monotonic() - self._told > _SECONDS_BETWEEN_LINES:
            figures = f"  {_figures(progress.values)}" if progress.values else ""
            print(f"{_title(progress.stage):<12} {_amount(progress)}{figures}", file=self._stream, flush=True)
            self._told = time.monotonic()


def _amount(progress: Progress) -> str:
    if progress.unit == "bytes":
        total = f"/{progress.total / 1e6:.1f}" if progress.total else ""
        return f"{progress.done / 1e6:.1f}{total} MB"
    total = f"/{progress.total}" if progress.total else ""
    return f"{progress.done}{total} {progress.unit}"
