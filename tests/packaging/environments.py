"""The package as a wheel, and environments that it is installed into: with everything, and with one extra alone."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ser.extras import DISTRIBUTION

ROOT = Path(__file__).parents[2]
SOURCES = (
    "LICENSE", "README.md", "pyproject.toml", "components", "inference_server", "pipelines", "ser", "ser_api",
    "ser_client", "ser_components", "ser_inference_server", "ser_pipelines",
)  # fmt: skip
"""What the wheel is built from."""


def build_wheel(folder: Path) -> Path:
    """Builds the wheel from a copy of the sources, so that the clone stays as it is."""
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir() and not (ROOT / name).is_symlink():
            shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name, follow_symlinks=False)
    code = f"from setuptools import build_meta; print(build_meta.build_wheel({str(folder)!r}))"
    _run([sys.executable, "-c", code], cwd=source)
    (wheel,) = folder.glob("*.whl")
    return wheel


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    folder: Path

    @property
    def packages(self) -> Path:
        """Where its packages lie."""
        return Path(sysconfig.get_path("purelib", vars={"base": str(self.folder), "platbase": str(self.folder)}))

    def run(self, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Runs a program of the environment in a folder, with nothing of this process's environment but PATH."""
        program, *arguments = command
        environment = {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "HOME": str(cwd), "COLUMNS": "80"}
        return subprocess.run(
            [str(self.folder / "bin" / program), *arguments],
            cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip


def environment_with(wheel: Path, folder: Path, distributions: Iterable[str] | None = None) -> Environment:
    """A virtual environment with the wheel, and of what is installed here what it is allowed.

    Args:
        wheel: Of the package.
        folder: Where to make it.
        distributions: Names of those that it has besides; by default all.
    """
    venv.create(folder, with_pip=False)
    environment = Environment(folder)
    here = sysconfig.get_path("purelib")
    if distributions is None:
        (environment.packages / "here.pth").write_text(f"{here}\n", encoding="utf-8")
    else:
        for name in distributions:
            _link(importlib.metadata.distribution(name), environment.packages)
    python = folder / "bin" / "python"
    _run(
        [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps", "--python", str(python),
         str(wheel)], cwd=folder,
    )  # fmt: skip
    return environment


def distributions_of(*extras: str) -> set[str]:
    """Names of what `pip install 'speech-emotion[EXTRAS]'` brings."""
    found: set[str] = set()

    def follow(name: str, its_extras: frozenset[str]) -> None:
        for text in importlib.metadata.requires(name) or ():
            requirement, asked = Requirement(text), ("", *its_extras)
            marker, other = requirement.marker, canonicalize_name(requirement.name)
            if marker is not None and not any(marker.evaluate({"extra": extra}) for extra in asked):
                continue
            if other not in found or requirement.extras:
                found.add(other)
                follow(other, frozenset(requirement.extras))

    follow(DISTRIBUTION, frozenset(extras))
    return found - {DISTRIBUTION}


def _link(distribution: importlib.metadata.Distribution, packages: Path) -> None:
    for file in distribution.files or ():
        if ".." in file.parts or "__pycache__" in file.parts:
            continue
        target = packages.joinpath(*file.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.symlink_to(Path(str(file.locate())))


def _run(command: list[str], cwd: Path) -> None:
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stderr
