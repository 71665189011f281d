"""A package of somebody else's, installed in a folder: modules, and the entry points by which `ser` finds them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def install(
    folder: Path, package: str, modules: Mapping[str, str], entry_points: Mapping[str, Mapping[str, str]]
) -> None:
    """Writes what an installer would leave of a package.

    Args:
        folder: A folder of the path that modules are looked for in.
        package: Its name.
        modules: Name of each of its modules to its content.
        entry_points: Name of each group to its entry points.
    """
    home = folder / package
    home.mkdir()
    (home / "__init__.py").touch()
    for name, content in modules.items():
        (home / f"{name}.py").write_text(content, encoding="utf-8")
    about = folder / f"{package}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
    lines = [
        line
        for group, points in entry_points.items()
        for line in (f"[{group}]", *(f"{name} = {place}" for name, place in points.items()))
    ]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
