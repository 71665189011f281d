"""Structured logs: a JSON object a line, or a line for people, on standard error."""

from __future__ import annotations

import datetime
import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


def configure(level: str, style: str) -> None:
    """Sends every log of this process to standard error."""
    # Nothing here says from where a line was logged, or in which thread: finding out takes as long as the line.
    logging._srcfile = None  # as logging's documentation has it
    logging.logThreads = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines() if style == "text" else _Json())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Each call is logged once, by `inference_server.calls`.
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


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
        line = f"{moment} {record.levelname.lower():<7} {record.getMessage()}{_fields(extra)}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _fields(extra: Mapping[str, Any]) -> str:
    return "".join(f"  {name}={value}" for name, value in extra.items())
