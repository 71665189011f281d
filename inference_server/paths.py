"""Places that callers name, held inside the roots that the operator names."""

from __future__ import annotations

import posixpath
from pathlib import Path

from ser.errors import ConfigError, FieldViolation, ForbiddenError
from ser.storage.stores import is_address, local_path


def resolve_inside(root: str, path: str, *, field: str) -> str:
    """The folder that a caller means, without links; or the address, where the root is one.

    A relative path is taken from the working directory if it then lies inside the root ("data/emodb" with the root
    "data"), else from the root.

    Args:
        root: The folder that it must lie in, or the address that it must begin with.
        path: What the caller sent; empty is the root itself.
        field: Its name in the request.

    Raises:
        ConfigError: If it is no path.
        ForbiddenError: If it leads out of the root, by `..` or by a link.
    """
    if "\0" in path or len(path) > 4_096:
        raise ConfigError([FieldViolation(field, "expected a path of at most 4096 characters and no zero byte")])
    found = _address_inside(root.rstrip("/"), path) if is_address(root) else _folder_inside(root, path, field)
    if found is None:
        # Where the root lies is the operator's affair.
        kind = field.split("_", 1)[0]
        raise ForbiddenError(f"{field}: expected a folder inside the server's {kind} root, got {path!r}")
    return found


def _folder_inside(root: str, path: str, field: str) -> str | None:
    inside = local_path(root).resolve()
    if not path:
        return str(inside)
    try:
        # A path that is absolute makes both the same.
        for base in (Path.cwd(), inside):
            found = (base / local_path(path)).resolve()
            if found == inside or inside in found.parents:
                return str(found)
    except (OSError, RuntimeError) as error:  # a name too long, a loop of links
        raise ConfigError([FieldViolation(field, f"expected a path, got {path[:200]!r}: {error}")]) from None
    return None


def _address_inside(root: str, path: str) -> str | None:
    if is_address(path):
        if path.rstrip("/") != root and not path.startswith(f"{root}/"):
            return None
        path = path[len(root) :]
    elif path.startswith("/"):
        return None
    relative = posixpath.normpath(path.strip("/") or ".")
    if relative.startswith("..") or "\\" in path:
        return None
    return root if relative == "." else f"{root}/{relative}"
