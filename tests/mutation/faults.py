"""The faults of a source file: small changes of its text, each of which a user might suffer from.

A fault is a replacement of one expression or statement. Its identity follows from what is replaced and by what, and
from the function or the variable around it, neither from line numbers nor from the file: code that moves keeps its
results, code that changes loses them.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
}
_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.FloorDiv: "/",
    ast.Mod: "//",
}
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
_SYMMETRIC = ("min", "max", "np.minimum", "np.maximum")
"""What gives the same whichever argument comes first."""
_ASSERTIONS = ("strict", "frozen")
"""Of zip() and of classes: what they say is so already, wherever the code is right."""
_SILENT = ("logger", "metrics", "warnings")
"""What is called for people alone: a line that is not logged is no fault that a test has to notice."""


@dataclass(frozen=True)
class Fault:
    """One way to break a file."""

    identity: str
    """12 hexadecimal digits."""
    path: str
    """Of the file, relative to the root."""
    line: int
    """Where the replaced text begins, from 1."""
    kind: str
    old: str
    new: str
    start: int
    """Offset of the replaced text in the file's UTF-8 bytes."""
    stop: int
    variable: str = ""
    """What is assigned to where the fault is, if that happens when a module is imported: whoever reads it may tell."""
    body: int = 0
    """Of a fault in a default of a function, which is made when the module is imported: where its body begins."""

    def apply(self, content: bytes) -> bytes:
        """The file's content with the fault in it."""
        return content[: self.start] + self.new.encode() + content[self.stop :]


def faults_of(path: str, content: bytes) -> list[Fault]:
    """All faults of a Python file.

    Args:
        path: Of the file, relative to the root, with slashes.
        content: Its bytes, UTF-8.
    """
    tree = ast.parse(content)
    found = _Finder(content)
    found.visit(tree)
    seen: Counter[tuple[str, str, str, str]] = Counter()
    faults = []
    for node, scope, kind, new, variable, body in found.places:
        start, stop = found.span(node)
        old = content[start:stop].decode()
        if not _parses(content[:start] + new.encode() + content[stop:]):
            continue
        key = (scope, kind, old, new)
        seen[key] += 1
        faults.append(
            Fault(_digest(*key, str(seen[key])), path, node.lineno, kind, old, new, start, stop, variable, body)
        )
    return faults


def readers_of(variable: str, content: bytes) -> list[int]:
    """Lines in functions of a file that read a variable, or what its module makes of it when it is imported."""
    read: set[int] = set()
    tree = ast.parse(content)
    names = [variable]
    for name in names:  # which grows
        lines, made = _reading(name, tree)
        read |= lines
        names += sorted(made - set(names))
    return sorted(read)


def _reading(name: str, tree: ast.AST) -> tuple[set[int], set[str]]:
    lines: set[int] = set()
    made: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines |= {one.lineno for one in ast.walk(node) if _reads(name, one)}
        elif isinstance(node, ast.ClassDef):
            below, above = _reading(name, node)
            lines, made = lines | below, made | above
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(_reads(name, one) for one in ast.walk(node.value)):
                made |= {one.id for one in targets if isinstance(one, ast.Name)}
    return lines, made


def _reads(name: str, node: ast.AST) -> bool:
    match node:
        case ast.Name(id=read) | ast.Attribute(attr=read):
            return read == name
    return False


def told_apart(faults: Iterable[Fault]) -> list[Fault]:
    """Faults of several files, with other identities for those that are alike in all but their file."""
    seen: Counter[str] = Counter()
    apart = []
    for fault in faults:
        seen[fault.identity] += 1
        again = seen[fault.identity]
        apart.append(fault if again == 1 else replace(fault, identity=_digest(fault.identity, str(again))))
    return apart


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _parses(content: bytes) -> bool:
    try:
        ast.parse(content)
    except SyntaxError:
        return False
    return True


class _Finder(ast.NodeVisitor):
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._line_starts = [0]
        for line in content.splitlines(keepends=True):
            self._line_starts.append(self._line_starts[-1] + len(line))
        self._scope: list[str] = []
        self._in_function = False
        self._variable, self._body = "", 0
        self.places: list[tuple[ast.expr | ast.stmt, str, str, str, str, int]] = []

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Offsets of a node's first byte, and of the byte behind its last."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        first = self._line_starts[node.lineno - 1] + node.col_offset
        return first, self._line_starts[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node: ast.expr | ast.stmt) -> str:
        start, stop = self.span(node)
        return self._content[start:stop].decode()

    def _add(self, node: ast.expr | ast.stmt, kind: str, new: str) -> None:
        self.places.append((node, ".".join(self._scope), kind, new, self._variable, self._body))

    def _enter(self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._scope.append(node.name)
        within, self._in_function = self._in_function, not isinstance(node, ast.ClassDef)
        for child in node.body:
            self.visit(child)
        self._in_function = within
        if not isinstance(node, ast.ClassDef):
            self._body = 0 if within else node.body[-1].lineno
            for default in (*node.args.defaults, *node.args.kw_defaults):
                if default is not None:
                    self.visit(default)
            self._body = 0
        self._scope.pop()

    visit_ClassDef = visit_FunctionDef = visit_AsyncFunctionDef = _enter  # noqa: N815 - as ast has them

    def visit_Assign(self, node: ast.Assign) -> None:
        with self._assigning(node.targets[0]):
            self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        with self._assigning(node.target):
            # Of the annotation of a field, what it may be counts: Annotated[int, Field(ge=1)].
            if not self._in_function and isinstance(node.annotation, ast.Subscript):
                self.visit(node.annotation.slice)
            if node.value is not None:
                self.visit(node.value)

    @contextlib.contextmanager
    def _assigning(self, target: ast.expr) -> Iterator[None]:
        self._scope.append(ast.unparse(target))
        if not self._in_function and isinstance(target, ast.Name):
            self._variable = target.id
        yield
        self._variable = ""
        self._scope.pop()

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        if not isinstance(node.test, ast.Compare | ast.BoolOp | ast.UnaryOp):
            self._add(node.test, "condition negated", f"not ({self._text(node.test)})")
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):  # a docstring
            return
        if isinstance(node.value, ast.Call | ast.Await):
            if _called(node.value).partition(".")[0] in _SILENT:
                return
            self._add(node, "call dropped", "pass")
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        # What an error says is text; that there is one is the matter.
        self._add(node, "error dropped", "pass")

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._add(node, "assignment dropped", "pass")
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        if len(node.ops) == 1:
            new = _COMPARISONS[type(node.ops[0])]
            text = f"{self._text(node.left)} {new} {self._text(node.comparators[0])}"
            self._add(node, "comparison", f"({text})")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        word = " or " if isinstance(node.op, ast.And) else " and "
        self._add(node, "and, or", f"({word.join(f'({self._text(value)})' for value in node.values)})")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not | ast.USub):
            self._add(node, "not, minus", f"({self._text(node.operand)})")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if (new := _OPERATORS.get(type(node.op))) and not _is_text(node):
            self._add(node, "operator", f"({self._text(node.left)} {new} {self._text(node.right)})")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        match node.value:
            case bool():
                self._add(node, "constant", str(not node.value))
            case int():
                self._add(node, "constant", f"{node.value + 1}")
            case float():
                self._add(node, "constant", f"{node.value * 2 if node.value else 1.0!r}")

    def visit_Call(self, node: ast.Call) -> None:
        if _called(node).partition(".")[0] in _SILENT:
            return
        if isinstance(node.func, ast.Name) and node.func.id in _NAMES:
            self._add(node.func, "function", _NAMES[node.func.id])
        plain = [one for one in node.args if not isinstance(one, ast.Starred)]
        if len(plain) == len(node.args) == 2 and not node.keywords and _called(node) not in _SYMMETRIC:
            first, second = (self._text(one) for one in node.args)
            self._add(node, "arguments swapped", f"{self._text(node.func)}({second}, {first})")
        for keyword in node.keywords:
            if keyword.arg in (None, *_ASSERTIONS):
                continue
            rest = [self._text(one) for one in node.args]
            rest += [
                f"{other.arg}={self._text(other.value)}" if other.arg else f"**{self._text(other.value)}"
                for other in node.keywords
                if other is not keyword
            ]
            self._add(node, f"argument {keyword.arg} dropped", f"{self._text(node.func)}({', '.join(rest)})")
        self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg not in _ASSERTIONS:
            self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if isinstance(node.value, ast.Call | ast.Name | ast.Attribute):
            self._add(node, "answer dropped", "return None")
        self.generic_visit(node)


def _called(node: ast.expr) -> str:
    """The dotted name that is called."""
    if isinstance(node, ast.Await):
        node = node.value
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


def _is_text(node: ast.BinOp) -> bool:
    """Whether one side is a text, to which nothing but adding makes sense."""
    return any(
        isinstance(side, ast.JoinedStr) or (isinstance(side, ast.Constant) and isinstance(side.value, str | bytes))
        for side in (node.left, node.right)
    )
