"""Structured logs: a JSON object a line, or a line for people, on standard error."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

from pythonjsonlogger.json import JsonFormatter

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


def configure(level: str, style: str) -> None:
    """Sends every log of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines() if style == "text" else _json())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Each call is logged once, by `inference_server.calls`.
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def _json() -> logging.Formatter:
    return JsonFormatter(
        "{levelname}{name}{message}{process}",
        style="{",
        rename_fields={"levelname": "level", "name": "logger"},
        timestamp="time",
    )


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD and value is not None}
        moment = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{moment} {record.levelname.lower():<7} {record.getMessage()}{_fields(extra)}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _fields(extra: Mapping[str, Any]) -> str:
    return "".join(f"  {name}={value}" for name, value in extra.items())
