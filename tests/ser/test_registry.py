from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ser.errors import ConfigError
from ser.models import MODEL_TYPES
from ser.registry import Registry
from tests.plug_ins import install


def test_a_new_file_is_all_that_a_new_entry_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "plugins_of_a_test"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from ser.registry import Registry\nTHINGS = Registry('thing', 'plugins_of_a_test', 'ser.things')\n"
    )
    for name in ("One", "Two"):
        (package / f"{name.lower()}.py").write_text(
            f"from plugins_of_a_test import THINGS\n@THINGS.register()\nclass {name}: pass\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    things = __import__("plugins_of_a_test").THINGS
    assert things.names() == ["One", "Two"]
    assert things.get("Two").__module__ == "plugins_of_a_test.two"
    with pytest.raises(ConfigError, match="^kind: unknown thing 'Three'; known: One, Two$"):
        things.get("Three", field="kind")
    for module in [name for name in sys.modules if name.startswith("plugins_of_a_test")]:
        del sys.modules[module]


def test_two_entries_of_one_name_are_a_defect() -> None:
    registry: Registry[type[Any]] = Registry("thing", "ser.features.extractors", "ser.things")
    registry.register("X")(int)
    with pytest.raises(ValueError, match="two classes register as thing 'X'"):
        registry.register("X")(str)


MODEL = """
from ser.models import MODEL_TYPES
from ser.models.keras_classifier import KerasClassifier

@MODEL_TYPES.register()
class {name}(KerasClassifier): ...
"""
BROKEN = {
    "broken": (MODEL.format(name="Half") + "1 / 0", "ZeroDivisionError: division by zero"),
    "quits": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "silent": ("class Nothing: ...", "others.silent registers no class"),
    "taken": (MODEL.format(name="KerasClassifier"), "ValueError: two classes register as model type 'KerasClassifier'"),
}


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """With packages that lie in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_what_is_broken_in_another_package_is_named_and_left_out(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "others").mkdir()
    install(tmp_path / "others", "others", {name: text for name, (text, _) in BROKEN.items()}, {
        "ser.model_types": {"gone": "others.gone", **{name: f"others.{name}" for name in BROKEN}}
    })  # fmt: skip
    install(tmp_path / "mine", "mine", {"good": MODEL.format(name="Good")}, {"ser.model_types": {"good": "mine.good"}})
    code = """
import sys
sys.path[:0] = ["mine", "others"]
from ser.errors import ConfigError
from ser.models import MODEL_TYPES
print(*MODEL_TYPES.names())
try:
    MODEL_TYPES.get("Half", field="model_type")
except ConfigError as error:
    print(error)
"""
    ended = run(tmp_path, "-c", code)
    names, unknown = ended.stdout.splitlines()
    assert names.split() == sorted([*MODEL_TYPES.names(), "Good"])
    causes = {"gone": "ModuleNotFoundError: No module named 'others.gone'"} | {n: why for n, (_, why) in BROKEN.items()}
    told = sorted(causes.items())
    assert ended.stderr.splitlines() == [f"the model type {n} of others is left out: {why}" for n, why in told]
    left_out = "".join(f"; left out: {n} of others ({why})" for n, why in told)
    assert unknown == f"model_type: unknown model type 'Half'; known: {', '.join(names.split())}{left_out}"


def test_a_broken_command_of_another_package_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    good = "import typer\ncommands = typer.Typer()\n@commands.command()\ndef hello(): print('hello')\n"
    install(tmp_path, "others", {"broken": "import no_such_module", "good": good}, {
        "ser.commands": {"broken": "others.broken:commands", "greet": "others.good:commands"}
    })  # fmt: skip
    ended = run(tmp_path, "-m", "ser", "greet", "hello")
    assert (ended.returncode, ended.stdout) == (0, "hello\n")
    why = "ModuleNotFoundError: No module named 'no_such_module'"
    assert ended.stderr == f"the command broken of others is left out: {why}\n"
