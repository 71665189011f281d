"""The log of a local run: whole in a file, the essence on the console."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from ser.console import ERROR_PREFIX

_COLOR = re.compile(r"\x1b\[\d+m")
_STARTS = re.compile(r"INFO - Executing task '(.+)'")
_ENDS = re.compile(r"Task '.+' finished with status")
_INDENT = "    "  # how KFP sets off what a step prints


class RunLog(io.TextIOBase):
    """Takes what KFP's local runner prints, line by line.

    Attributes:
        error: The last error line of a step, without its prefix; None if there was none.
    """

    def __init__(self, file: TextIO, console: TextIO) -> None:
        self._file = file
        self._console = console
        self._line = ""
        self._in_step = False
        self._in_executor_input = False
        self.error: str | None = None

    def write(self, text: str) -> int:
        """Takes a piece of text; lines may come in parts."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._take(_COLOR.sub("", line))
        return len(text)

    def _take(self, line: str) -> None:
        # Not by print: KFP replaces it meanwhile by one that indents.
        self._file.write(f"{line}\n")
        self._file.flush()
        if start := _STARTS.search(line):
            self._show(f"{start[1].replace('-', ' ')}:")
            self._in_step = True
        elif _ENDS.search(line):
            self._in_step = self._in_executor_input = False
        elif self._in_step and line.startswith(_INDENT):
            self._take_from_step(line.removeprefix(_INDENT))

    def _take_from_step(self, line: str) -> None:
        if line.startswith(ERROR_PREFIX):
            self.error = line.removeprefix(ERROR_PREFIX)
        elif "Got executor_input:" in line:
            self._in_executor_input = True
        elif self._in_executor_input:
            self._in_executor_input = line != "}"
        elif line.strip() and "[KFP Executor" not in line:
            self._show(f"  {line}")

    def _show(self, line: str) -> None:
        self._console.write(f"{line}\n")
        self._console.flush()


@contextlib.contextmanager
def recording(path: Path, console: TextIO) -> Iterator[RunLog]:
    """Sends standard output into a log file, and its essence to the console."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file, contextlib.redirect_stdout(RunLog(file, console)) as log:
        yield log
