"""Structured logs: a JSON object a line, or a line for people, on standard error.

Native libraries write there too, past every handler: what a decoder thinks of a recording, what gRPC thinks of a
connection. `native_lines` makes records of that.
"""

from __future__ import annotations

import contextlib
import datetime
import faulthandler
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

_LINES_A_SECOND = 20
_LONGEST_LINE = 2_000
_SECONDS_TO_DRAIN = 2.0
_CONTROLS = {number: f"\\x{number:02x}" for number in (*range(32), 127)}
_native = logging.getLogger("native")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


def configure(level: str, style: str) -> None:
    """Sends every log of this process to standard error."""
    # Nothing here says from where a line was logged, or in which thread: finding out takes as long as the line.
    logging._srcfile = None  # as logging's documentation has it
    logging.logThreads = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines() if style == "text" else _Json())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Each call is logged once, by `ser_inference_server.calls`.
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


@contextlib.contextmanager
def native_lines() -> Iterator[None]:
    """Makes a record of each line that is written to file descriptor 2, but by the log itself.

    Last words of a process that crashes are its own affair: `faulthandler` writes them to the real standard error.
    """
    sys.stderr.flush()
    real = os.fdopen(os.dup(2), "w", buffering=1)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(real)
    faulthandler.enable(real)
    reading, writing = os.pipe()
    # A library that writes while it keeps Python from reading must not wait for a reader: what does not fit is lost.
    os.set_blocking(writing, False)
    os.dup2(writing, 2)
    os.close(writing)
    reader = threading.Thread(target=_record, args=(os.fdopen(reading, "rb"),), name="native-lines", daemon=True)
    reader.start()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(real.fileno(), 2)  # the pipe's last writer: the reader comes to its end
        reader.join(_SECONDS_TO_DRAIN)


def _record(lines: BinaryIO) -> None:
    """Logs lines, at most some a second: callers have a say in what a decoder complains of."""
    second, count = 0, 0
    with lines:
        for line in iter(lambda: lines.readline(_LONGEST_LINE), b""):
            now = int(time.monotonic())
            if now != second:
                if count > _LINES_A_SECOND:
                    _native.warning("%d more lines", count - _LINES_A_SECOND)
                second, count = now, 0
            count += 1
            text = line.decode(errors="backslashreplace").strip()
            if count <= _LINES_A_SECOND and text:
                _native.warning("%s", text)


class _Json(logging.Formatter):
    """A JSON object a line: level, logger, message, process, what else was said of it, and the moment in UTC."""

    _encode = json.JSONEncoder(default=str).encode

    def format(self, record: logging.LogRecord) -> str:
        content = {
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        if record.exc_info:
            content["exc_info"] = self.formatException(record.exc_info)
        content |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        content["time"] = datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat()
        return self._encode(content)


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD and value is not None}
        moment = time.strftime("%H:%M:%S", time.localtime(record.created))
        said = f"{record.getMessage()}{_fields(extra)}".translate(_CONTROLS)  # one record is one line, whoever wrote it
        line = f"{moment} {record.levelname.lower():<7} {said}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _fields(extra: Mapping[str, Any]) -> str:
    return "".join(f"  {name}={value}" for name, value in extra.items())
