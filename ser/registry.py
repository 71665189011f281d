"""Registries by name: a feature extractor, a model type or a corpus is one file in its package.

The registry imports every module of its package once, on first use; a class registers itself with the
registry's decorator. Nothing else has to be touched to add one.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ser.errors import ConfigError, FieldViolation

Entry = TypeVar("Entry", bound=type[Any])


class Registry(Generic[Entry]):
    """The classes of one kind, by class name.

    Args:
        kind: What an entry is called in messages, as "model type".
        package: Dotted name of the package whose modules define the entries.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self._package = package
        self._entries: dict[str, Entry] = {}
        self._discovered = False

    def register(self, name: str | None = None) -> Callable[[Entry], Entry]:
        """Decorator that adds a class under `name`, by default the class's own.

        Raises:
            ValueError: If another class already has the name.
        """

        def add(entry: Entry) -> Entry:
            key = name or entry.__name__
            if key in self._entries:
                raise ValueError(f"two classes register as {self.kind} {key!r}")
            self._entries[key] = entry
            return entry

        return add

    def names(self) -> list[str]:
        """Every registered name, sorted."""
        self._discover()
        return sorted(self._entries)

    def get(self, name: object, *, field: str = "") -> Entry:
        """The class registered as `name`.

        Raises:
            ConfigError: If there is none; the message has the known names, and `field` as the culprit.
        """
        self._discover()
        if not isinstance(name, str) or name not in self._entries:
            known = ", ".join(sorted(self._entries))
            raise ConfigError([FieldViolation(field, f"unknown {self.kind} {name!r}; known: {known}")])
        return self._entries[name]

    def _discover(self) -> None:
        if self._discovered:
            return
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")
        self._discovered = True
