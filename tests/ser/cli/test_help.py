"""What the command line says of itself: every flag whole on a narrow terminal, every default, and completion."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from ser.cli.main import app
from ser.models import MODEL_TYPES

SER = Path(sys.executable).parent / "ser"
NARROW = {"COLUMNS": "80", "TERMINAL_WIDTH": "80"}
SHELL = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
"""As Typer's own tests have it: the shell is named, not looked for among this process's parents."""


def commands(group: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, *path, name)


ALL = dict(commands(typer.main.get_command(app)))


def help_of(path: tuple[str, ...]) -> str:
    ended = CliRunner().invoke(app, [*path, "--help"], env=NARROW)
    assert ended.exit_code == 0
    return ended.output


def test_there_are_commands_of_all_packages() -> None:
    assert {("train",), ("evaluate",), ("corpus", "inspect"), ("pipeline", "submit")} <= ALL.keys()


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_no_flag_is_cut_where_80_columns_are_all_there_is(path: tuple[str, ...]) -> None:
    text = help_of(path)
    assert max(map(len, text.splitlines())) <= 80
    flags = {flag for parameter in ALL[path].params for flag in (*parameter.opts, *parameter.secondary_opts)}
    words = set(text.replace(",", " ").split())
    assert {flag for flag in flags if flag.startswith("--")} <= words
    assert "…" not in text


@pytest.mark.parametrize("path", [("train",), ("evaluate",), ("pipeline", "run"), ("pipeline", "submit")], ids=" ".join)
def test_help_says_the_model_types_and_the_defaults(path: tuple[str, ...]) -> None:
    text = " ".join(help_of(path).split())
    names = ", ".join(MODEL_TYPES.names())
    assert f"One of {names} [default: what SER_MODEL_TYPE says, else EncoderClassifier]" in text
    assert "embedded: [default: embedded:]" in text
    assert "[default: data]" in text


def test_model_types_are_completed() -> None:
    asked = {"_SER_COMPLETE": "complete_bash", "COMP_WORDS": "ser train --model-type F", "COMP_CWORD": "3"}
    ended = subprocess.run([SER], env={**os.environ, **asked}, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["FunctionalsClassifier"]


def test_completion_is_installed_for_a_shell(tmp_path: Path) -> None:
    environment = {**os.environ, **SHELL, "HOME": str(tmp_path)}
    subprocess.run([SER, "--install-completion", "bash"], env=environment, capture_output=True, check=True)
    (script,) = (path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".bashrc")
    assert str(script) in (tmp_path / ".bashrc").read_text()
    assert "_SER_COMPLETE=complete_bash" in script.read_text()
