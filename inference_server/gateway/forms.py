"""Multipart forms: a few searches for their boundary, whatever is in them, where a parser by bytes takes seconds."""

from __future__ import annotations

import re

from ser.errors import ConfigError, FieldViolation, LimitError

MAX_PARTS = 1_000
"""Most fields and files of a form."""
MAX_TEXT_BYTES = 1 << 20
"""Largest value that is no file."""
_MAX_HEADER_BYTES = 8 << 10
_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_PARAMETER = re.compile(r';\s*(name|filename\*?)=(?:"((?:[^"\\]|\\.)*)"|([^\s;]*))', re.IGNORECASE)


def parse_form(body: bytes, content_type: str) -> list[tuple[str, str | bytes]]:
    """The fields of a form in their order: text, or the bytes of a file.

    Args:
        body: The form.
        content_type: The header, which names the boundary.

    Raises:
        ConfigError: If it is no form, or its text is not UTF-8.
        LimitError: If there are too many parts, or one that is no file is too large.
    """
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise _wrong("its content-type names no boundary")
    mark = b"--" + (found[1] or found[2]).encode("latin-1", "replace")
    if not body.startswith(mark):
        raise _wrong("it does not begin with its boundary")
    parts: list[tuple[str, str | bytes]] = []
    position = len(mark)
    for _ in range(MAX_PARTS + 1):
        if body.startswith(b"--", position):
            return parts
        if not body.startswith(b"\r\n", position):
            raise _wrong("expected the end of a line after its boundary")
        end = body.find(b"\r\n" + mark, position)
        if end < 0:
            raise _wrong("it does not end with its boundary")
        parts.append(_part(body, position, end))
        position = end + 2 + len(mark)
    raise LimitError(f"expected a form of at most {MAX_PARTS} parts, more came")


def _part(body: bytes, start: int, end: int) -> tuple[str, str | bytes]:
    head = body.find(b"\r\n\r\n", start, min(end, start + _MAX_HEADER_BYTES))
    if head < 0:
        raise _wrong(f"expected the headers of a part, of at most {_MAX_HEADER_BYTES} bytes, and an empty line")
    name, is_file = _disposition(_text(body[start:head], "the headers of a part"))
    content = body[head + 4 : end]
    if is_file:
        return name, content
    if len(content) > MAX_TEXT_BYTES:
        raise LimitError(f"{name[:200]}: expected text of at most {MAX_TEXT_BYTES} bytes, got {len(content)}")
    return name, _text(content, name)


def _disposition(headers: str) -> tuple[str, bool]:
    """The name of a part, and whether it is a file."""
    for line in headers.split("\r\n"):
        key, _, value = line.partition(":")
        if key.strip().lower() == "content-disposition":
            parameters = {found[1].lower(): found[2] or found[3] or "" for found in _PARAMETER.finditer(value)}
            if "name" in parameters:
                name = re.sub(r"\\(.)", r"\1", parameters["name"])
                return name, not parameters.keys().isdisjoint({"filename", "filename*"})
    raise _wrong("expected a content-disposition with a name in each part")


def _text(content: bytes, what: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise _wrong(f"{what[:200]}: expected UTF-8: {error}") from None


def _wrong(reason: str) -> ConfigError:
    return ConfigError([FieldViolation("", f"expected a multipart form: {reason}")])
