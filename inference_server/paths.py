"""Folders that callers name, held inside the roots that the operator names."""

from __future__ import annotations

from pathlib import Path

from ser.errors import ConfigError, FieldViolation, ForbiddenError


def resolve_inside(root: Path, path: str, *, field: str) -> Path:
    """The folder that a caller means, without links.

    A relative path is taken from the working directory if it then lies inside the root ("data/emodb" with the root
    "data"), else from the root.

    Args:
        root: The folder that it must lie in.
        path: What the caller sent.
        field: Its name in the request.

    Raises:
        ConfigError: If it is no path.
        ForbiddenError: If it leads out of the root, by `..` or by a link.
    """
    if "\0" in path or len(path) > 4_096:
        raise ConfigError([FieldViolation(field, "expected a path of at most 4096 characters and no zero byte")])
    inside = root.resolve()
    try:
        # A path that is absolute makes both the same.
        for base in (Path.cwd(), inside):
            found = (base / path).resolve()
            if found == inside or inside in found.parents:
                return found
    except (OSError, RuntimeError) as error:  # a name too long, a loop of links
        raise ConfigError([FieldViolation(field, f"expected a path, got {path[:200]!r}: {error}")]) from None
    # Where the root lies is the operator's affair.
    raise ForbiddenError(f"{field}: expected a folder inside the server's {field.split('_', 1)[0]} root, got {path!r}")
