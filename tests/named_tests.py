"""The functions of a test file by name, for tables that say which test shows what."""

from __future__ import annotations

import ast
from pathlib import Path


def functions(file: Path) -> dict[str, str]:
    """Name to source, decorators included, of the functions of a file."""
    text = file.read_text(encoding="utf-8")
    found = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    lines = text.splitlines()
    first = {node.name: min([node.lineno, *(one.lineno for one in node.decorator_list)]) for node in found}
    return {node.name: "\n".join(lines[first[node.name] - 1 : node.end_lineno]) for node in found}
