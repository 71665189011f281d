"""All parsers that are fuzzed, by name. Each is made when it is asked for: what it imports, others need not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from benchmarks.fuzz.parser import Parser, Surroundings


def _later(module: str, function: str) -> Callable[[Surroundings], Parser]:
    def prepare(around: Surroundings) -> Parser:
        parser: Parser = getattr(import_module(f"benchmarks.fuzz.parsers.{module}"), function)(around)
        return parser

    return prepare


ALL: Mapping[str, Callable[[Surroundings], Parser]] = {
    "audio": _later("sound", "audio"),
    "pcm": _later("sound", "pcm"),
    "zip": _later("archives", "archive"),
    "corpora-file": _later("tables", "corpora_file"),
    "labels": _later("tables", "labels"),
    "address": _later("texts", "address"),
    "tokens": _later("texts", "tokens"),
    "npz": _later("stored", "npz"),
    "manifest": _later("stored", "manifest"),
    "frontend": _later("stored", "frontend"),
    "validation": _later("stored", "validation"),
    "statistics": _later("stored", "statistics"),
    "speakers": _later("stored", "speakers"),
    "tflite": _later("stored", "tflite"),
    "json": _later("messages", "json_body"),
    "form": _later("messages", "form"),
    "query": _later("messages", "query"),
    "protobuf": _later("messages", "protobuf"),
    "websocket": _later("wire", "websocket"),
    "http": _later("wire", "http"),
}
