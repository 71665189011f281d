"""Components called as the functions that they are, with KFP's own artifacts."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from kfp import dsl
from kfp.dsl.python_component import PythonComponent

ROOT = Path(__file__).parents[2]


def components() -> dict[str, PythonComponent]:
    """Every component that is defined in components/, by name."""
    found: dict[str, PythonComponent] = {}
    for path in sorted((ROOT / "ser_components").glob("*/*.py")):
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        found |= {
            value.python_func.__name__: value for value in vars(module).values() if isinstance(value, PythonComponent)
        }
    return found


def artifact(path: Path) -> dsl.Dataset:
    """The data set at a path."""
    return dsl.Dataset(uri=str(path))


def call(component: PythonComponent, **arguments: Any) -> Any:
    """What a component's function returns; a path stands for the data set there, a list for several."""
    given = {}
    for name, value in arguments.items():
        if isinstance(value, list):
            value = [artifact(one) for one in value]
        given[name] = artifact(value) if isinstance(value, Path) else value
    return component.python_func(**given)
