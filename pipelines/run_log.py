"""The log of a local run: whole in a file, the essence on the console.

KFP lets each task indent what it prints and set up the root logger, by what the whole process shares, and put back
what it found. Tasks of a loop run in threads at once: one puts back what another had put there, and lines of several
mingle (docs/upstream.md). So here each thread has its own state, and the root logger is set up once.
"""

from __future__ import annotations

import contextlib
import io
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from ser.cli.console import ERROR_PREFIX

_COLOR = re.compile(r"\x1b\[\d+m")
_STARTS = re.compile(r"INFO - Executing task '(.+)'")
_INDENT = "    "


class _Thread(threading.local):
    """How far a thread has come."""

    line = ""
    in_step = False
    in_executor_input = False


class RunLog(io.TextIOBase):
    """Takes what KFP's local runner prints, line by line; threads may write at once.

    Attributes:
        error: The last error line of a step, without its prefix; None if there was none.
    """

    def __init__(self, file: TextIO, console: TextIO) -> None:
        self._file = file
        self._console = console
        self._own = _Thread()
        self._lock = threading.Lock()
        self.error: str | None = None

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """What this thread writes meanwhile is a step's; takes the place of KFP's `indented_print`."""
        self._own.in_step = True
        try:
            yield
        finally:
            self._own.in_step = self._own.in_executor_input = False

    def write(self, text: str) -> int:
        """Takes a piece of text; lines may come in parts."""
        *lines, self._own.line = (self._own.line + text).split("\n")
        with self._lock:
            for line in lines:
                self._take(_COLOR.sub("", line))
        return len(text)

    def _take(self, line: str) -> None:
        own = self._own
        self._file.write(f"{_INDENT if own.in_step else ''}{line}\n")
        self._file.flush()
        if own.in_step:
            self._take_from_step(line)
        elif start := _STARTS.search(line):
            self._show(f"{start[1].replace('-', ' ')}:")

    def _take_from_step(self, line: str) -> None:
        own = self._own
        if line.startswith(ERROR_PREFIX):
            self.error = line.removeprefix(ERROR_PREFIX)
        elif "Got executor_input:" in line:
            own.in_executor_input = True
        elif own.in_executor_input:
            own.in_executor_input = line != "}"
        elif line.strip() and "[KFP Executor" not in line:
            self._show(f"  {line}")

    def _show(self, line: str) -> None:
        self._console.write(f"{line}\n")
        self._console.flush()


@contextlib.contextmanager
def recording(path: Path, console: TextIO) -> Iterator[RunLog]:
    """Sends what KFP's local runner prints into a log file, and its essence to the console.

    Until the end of the context, standard output and the root logger are the log's; afterwards they are as before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        log = RunLog(file, console)
        with contextlib.redirect_stdout(log), _in_the_place_of_kfp(log):
            yield log


@contextlib.contextmanager
def _in_the_place_of_kfp(log: RunLog) -> Iterator[None]:
    """Has KFP's tasks leave `print` and the root logger alone; sets the logger up as they would, for all of them."""
    from kfp.local import logging_utils

    indented_print, local_logger_context = logging_utils.indented_print, logging_utils.local_logger_context
    with local_logger_context():
        logging_utils.indented_print = log.step
        logging_utils.local_logger_context = contextlib.nullcontext
        try:
            yield
        finally:
            logging_utils.indented_print = indented_print
            logging_utils.local_logger_context = local_logger_context
