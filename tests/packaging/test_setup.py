"""Which Python `make setup` takes, and what it says where none fits: of small programs under the names it looks for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.packaging.environments import ROOT

SYSTEM = ("sh", "dirname", "cat")
TAKEN = 9


@dataclass(frozen=True)
class Machine:
    """A machine with few programs."""

    folder: Path

    def add(self, name: str, *, fits: bool = True, has_venv: bool = True) -> None:
        """A Python, or uv, that ends with `TAKEN` and says so when it is to make the environment."""
        asked = [f'*version_info*) exec {sys.executable} "$@" ;;' if fits else "*version_info*) exit 1 ;;"]
        asked += ["*ensurepip*) exit 0 ;;" if has_venv else "*ensurepip*) exit 1 ;;"]
        asked += ["*--version*) echo Python 3.9.2 ;;", f'*venv*) echo "taken: {name} $*"; exit {TAKEN} ;;']
        program = self.folder / "bin" / name
        program.write_text("\n".join(["#!/bin/sh", 'case "$*" in', *asked, "esac"]), encoding="utf-8")
        program.chmod(0o755)

    def setup(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.folder / "bin" / "sh", "./setup.sh"],
            cwd=self.folder / "my clone",
            env={"PATH": str(self.folder / "bin"), **environment},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def takes(self, **environment: str) -> str:
        ended = self.setup(**environment)
        assert ended.returncode == TAKEN, ended.stderr
        return ended.stdout.removeprefix("taken: ").strip()

    def says(self, **environment: str) -> str:
        ended = self.setup(**environment)
        assert ended.returncode == 1
        (line,) = ended.stderr.splitlines()
        assert not ended.stdout
        return line.removeprefix("setup: ")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "my clone").mkdir()
    shutil.copy(ROOT / "setup.sh", tmp_path / "my clone")
    (tmp_path / "bin").mkdir()
    for name in SYSTEM:
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    return Machine(tmp_path)


def test_the_newest_that_tensorflow_s_releases_know_is_taken(machine: Machine) -> None:
    for name in ("python", "python3", "python3.14", "python3.11", "python3.12", "python3.13"):
        machine.add(name)
        assert machine.takes() == f"{name} -m venv --clear .venv"


def test_what_does_not_fit_or_has_no_venv_is_passed_over(machine: Machine) -> None:
    machine.add("python3.13", has_venv=False)
    machine.add("python3", fits=False)
    machine.add("python3.12", fits=False)
    machine.add("python3.11")
    assert machine.takes() == "python3.11 -m venv --clear .venv"


def test_uv_is_taken_before_them_and_may_bring_one(machine: Machine) -> None:
    machine.add("python3.13")
    machine.add("uv")
    assert machine.takes() == (
        "uv venv --quiet --clear --python >=3.11,<3.14 .venv\ntaken: uv venv --quiet --clear --python 3.14 .venv"
    )  # the second where there is none of the first
    machine.add("python3.12", has_venv=False)
    path = machine.folder / "bin" / "python3.12"
    assert machine.takes(PYTHON="python3.12", VENV="own") == f"uv venv --quiet --clear --python {path} own"


def test_what_PYTHON_says_is_taken_before_all(machine: Machine) -> None:  # noqa: N802 - the variable's name
    machine.add("python3.13")
    machine.add("mine")
    assert machine.takes(PYTHON="mine") == "mine -m venv --clear .venv"
    assert machine.takes(PYTHON=str(machine.folder / "bin" / "mine")) == "mine -m venv --clear .venv"
    machine.add("old", fits=False)
    assert machine.says(PYTHON="old") == "PYTHON=old: expected Python 3.11 to 3.14, got Python 3.9.2"
    assert machine.says(PYTHON="gone") == "PYTHON=gone: there is no such program"
    machine.add("half", has_venv=False)
    assert machine.says(PYTHON="half").startswith("PYTHON=half has no venv; install one: on Debian and Ubuntu, apt ")


def test_a_line_says_what_to_install_where_none_fits(machine: Machine) -> None:
    line = machine.says()
    assert line.startswith("expected Python 3.11 to 3.14, found none; install one: ")
    for way in ("apt install python3-venv", "dnf install python3.13", "brew install python@3.13", "uv (https://"):
        assert way in line
    machine.add("python3", fits=False)
    assert machine.says() == line
    machine.add("python3.12", has_venv=False)
    assert machine.says().startswith("python3.12 has no venv; install one: ")


def test_the_versions_are_those_of_the_package() -> None:
    said = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'requires-python = ">=3.11,<3.15"' in said
    assert "oldest=11 newest=14" in (ROOT / "setup.sh").read_text(encoding="utf-8")
