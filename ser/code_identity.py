"""Digests of code: whoever edits an extractor or a model type gets new features and a new model by the same command.

A digest is of what the statements of modules say, whatever file each is in: comments, docstrings, white space, imports
and the order of statements do not count, nor the version of Python. It follows a class through the modules that its own
imports, as far as they are of its author; the steps around it have numbers (`ser.formats`).
"""

from __future__ import annotations

import ast
import bisect
import functools
import hashlib
import importlib.abc
import importlib.util
import inspect
import io
import sys
import tokenize
from collections.abc import Collection, Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import CodeType
from typing import Any

_ROOMS = (
    "ser.acoustics",
    "ser.corpora.schemes",
    "ser.experts",
    "ser.features.extractors",
    "ser.models",
    "ser.synthesis",
)
"""What extractors, model types and corpora are made of, within `ser`."""
_STEPS = frozenset(
    {
        "ser.corpora.schemes.base",
        "ser.features.extractors.base",
        "ser.models.base",
    }
)
"""What is in these rooms and belongs to the steps around them."""
_LEFT_OUT = frozenset({tokenize.ENCODING, tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER})
_MARKS = {tokenize.NEWLINE: "\n", tokenize.INDENT: "\t", tokenize.DEDENT: "\b"}
_OPENING = {number for name, number in vars(tokenize).items() if name in ("FSTRING_START", "TSTRING_START")}
_CLOSING = {number for name, number in vars(tokenize).items() if name in ("FSTRING_END", "TSTRING_END")}


def code_digest(entry: type[Any]) -> str:
    """Of a class, by the sources of its module, of its bases', and of those that these import of the same author.

    The author's are the modules of the same top-level package; in `ser`, those of rooms that hold no steps. A class
    without sources, as one that was typed in, is told by its compiled functions.

    Returns:
        16 hexadecimal digits; the same as long as the process runs.
    """
    hashable: Any = entry  # which mypy doubts
    return _class_digest(hashable)


@functools.cache
def package_digest(name: str) -> str:
    """Of a package, as `code_digest`: of its `__init__` and the modules that this imports."""
    return _digest(_said_by({name}))


def statements(source: str) -> list[str]:
    """What the top-level statements of a module say, each in one way of writing; without imports and docstrings."""
    tree = ast.parse(source)
    lines = source.splitlines(keepends=True)
    starts = sorted(
        min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))]) for node in tree.body
    )
    silent = sorted(_silent(tree, lines))
    pieces: list[list[str]] = [[] for _ in range(len(starts) + 1)]
    place = 0
    for kind, text, position in _tokens(source, lines):
        before = bisect.bisect_right(silent, (position, (sys.maxsize, 0))) - 1
        if before >= 0 and position < silent[before][1]:
            continue
        if kind != tokenize.DEDENT:  # which stands where the next statement begins
            place = bisect.bisect_right(starts, position[0])
        pieces[place].append(text)
    said = ("\0".join(piece).strip("\0\n") for piece in pieces)
    return [one for one in said if one]


@functools.cache
def _class_digest(entry: Any) -> str:
    if _load(entry.__module__) is None:
        return _digest(_compiled(code) for base in entry.__mro__ for code in _functions(base))
    return _digest(_said_by({base.__module__ for base in entry.__mro__ if not _is_foreign(base.__module__)}))


def _digest(said: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for one in sorted(hashlib.sha256(one.encode()).digest() for one in said):
        digest.update(one)
    return digest.hexdigest()[:16]


def _is_foreign(module: str) -> bool:
    """Whether a base's module is not followed: Python's own, and those of the steps."""
    return module in _STEPS or module.partition(".")[0] in sys.stdlib_module_names


def _said_by(modules: Collection[str]) -> Iterator[str]:
    """What modules say, and those that they import of the same author."""
    pending, seen = list(modules), set[str]()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        loaded = _load(name)
        if loaded is not None:
            source, package = loaded
            yield from statements(source)
            pending += [other for other in _imports(package, source) if _is_of_the_same_author(other, name)]


def _is_of_the_same_author(other: str, name: str) -> bool:
    top = name.partition(".")[0]
    if top != "ser":
        return other.partition(".")[0] == top
    return other not in _STEPS and any(other == room or other.startswith(f"{room}.") for room in _ROOMS)


def _load(name: str) -> tuple[str, str] | None:
    """The text of a module, which is not run, and the package that it is or lies in; None if there is no text."""
    module = sys.modules.get(name)
    try:
        if module is not None and module.__spec__ is None:
            return inspect.getsource(module), ""  # what is run as a script
        spec = _spec(name)
        if spec is None or not isinstance(spec.loader, importlib.abc.InspectLoader):
            return None
        source = spec.loader.get_source(name)
    except (ImportError, OSError, TypeError, ValueError):
        return None
    return None if source is None else (source, spec.parent or "")


def _spec(name: str) -> ModuleSpec | None:
    """Where a module is. Nothing is imported for it, as `importlib.util.find_spec` imports the packages above."""
    package = name.rpartition(".")[0]
    if not package:
        return importlib.util.find_spec(name)
    above = _spec(package)
    places = above.submodule_search_locations if above else None
    return PathFinder.find_spec(name, places) if places else None


def _imports(package: str, source: str) -> Iterator[str]:
    """The modules that a module may import, wherever in it; what is imported of one may be one too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            above = parents[: len(parents) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def _silent(tree: ast.Module, lines: Sequence[str]) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Where imports and strings that stand alone begin and end: line, from 1, and column, in characters."""
    for node in ast.walk(tree):
        alone = (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        )
        if isinstance(node, ast.stmt) and (alone or isinstance(node, ast.Import | ast.ImportFrom)):
            end = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
            yield _in_characters(lines, node.lineno, node.col_offset), _in_characters(lines, *end)


def _in_characters(lines: Sequence[str], line: int, column: int) -> tuple[int, int]:
    """A place that `ast` tells in bytes, as `tokenize` tells it."""
    return line, len(lines[line - 1].encode()[:column].decode())


def _tokens(source: str, lines: Sequence[str]) -> Iterator[tuple[int, str, tuple[int, int]]]:
    """Kind, text and place; an f-string is one, as it was before Python 3.12, and an empty line's end none."""
    depth, begun, last = 0, (0, 0), tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in _OPENING:
            begun = begun if depth else token.start
            depth += 1
        elif token.type in _CLOSING:
            depth -= 1
            if not depth:
                yield tokenize.STRING, _between(lines, begun, token.end), begun
        elif not depth and token.type not in _LEFT_OUT and not token.type == last == tokenize.NEWLINE:
            yield token.type, _MARKS.get(token.type, token.string), token.start
            last = token.type
        elif depth:
            last = tokenize.STRING


def _between(lines: Sequence[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    if start[0] == end[0]:
        return lines[start[0] - 1][start[1] : end[1]]
    middle = lines[start[0] : end[0] - 1]
    return "".join([lines[start[0] - 1][start[1] :], *middle, lines[end[0] - 1][: end[1]]])


def _functions(owner: type[Any]) -> Iterator[CodeType]:
    for value in vars(owner).values():
        for function in (value, getattr(value, "__func__", None), getattr(value, "fget", None)):
            code = getattr(function, "__code__", None)
            if isinstance(code, CodeType):
                yield code


def _compiled(code: CodeType) -> str:
    """What compiled code does, without the file and the lines that it is from."""
    constants = [
        _compiled(one)
        if isinstance(one, CodeType)
        else repr(sorted(map(repr, one)) if isinstance(one, frozenset) else one)
        for one in code.co_consts
    ]
    return "\0".join([code.co_name, code.co_code.hex(), *code.co_names, *code.co_varnames, *constants])
