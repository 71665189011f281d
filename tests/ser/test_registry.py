from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from ser.errors import ConfigError
from ser.registry import Registry


def test_a_new_file_is_all_that_a_new_entry_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "plugins_of_a_test"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from ser.registry import Registry\nTHINGS = Registry('thing', 'plugins_of_a_test')\n"
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
    registry: Registry[type[Any]] = Registry("thing", "ser.features.extractors")
    registry.register("X")(int)
    with pytest.raises(ValueError, match="two classes register as thing 'X'"):
        registry.register("X")(str)
