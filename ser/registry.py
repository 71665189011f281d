"""Registries by name: a feature extractor, a model type or a corpus is one file in its package, or another package's.

The registry imports every module of its package once, on first use, and then what other packages name under its group
of entry points. A class registers itself with the registry's decorator. Nothing else has to be touched to add one.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import pkgutil
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ser.errors import ConfigError, FieldViolation

Entry = TypeVar("Entry", bound=type[Any])
_log = logging.getLogger(__name__)


class Registry(Generic[Entry]):
    """The classes of one kind, by class name.

    Args:
        kind: What an entry is called in messages, as "model type".
        package: Dotted name of the package whose modules define the entries.
        group: Of the entry points by which other packages add entries: each names a module or a class.
    """

    def __init__(self, kind: str, package: str, group: str) -> None:
        self.kind = kind
        self._package = package
        self._group = group
        self._entries: dict[str, Entry] = {}
        self._left_out: list[str] = []
        self._discovered = False
        self._turn = threading.RLock()

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
            left_out = "".join(f"; left out: {one}" for one in self._left_out)
            raise ConfigError([FieldViolation(field, f"unknown {self.kind} {name!r}; known: {known}{left_out}")])
        return self._entries[name]

    def _discover(self) -> None:
        with self._turn:
            if self._discovered:
                return
            self._discovered = True  # before: what is imported may ask for names
            try:
                package = importlib.import_module(self._package)
                for module in pkgutil.iter_modules(package.__path__):
                    importlib.import_module(f"{self._package}.{module.name}")
            except BaseException:
                self._discovered = False
                raise
            for plug_in in plug_ins(self._group):
                self._add(plug_in)

    def _add(self, plug_in: importlib.metadata.EntryPoint) -> None:
        """Adds what another package has; where that fails, nothing of it is added."""
        before = dict(self._entries)
        try:
            load(plug_in, self.kind)
            owner = plug_in.module.partition(".")[0]
            if not any(entry.__module__.partition(".")[0] == owner for entry in self._entries.values()):
                raise LeftOutError(plug_in, self.kind, f"{plug_in.value} registers no class")
        except LeftOutError as error:
            self._entries = before
            self._left_out.append(str(error))


class LeftOutError(Exception):
    """What another package adds cannot be used; who raises it has told of it in the log."""

    def __init__(self, plug_in: importlib.metadata.EntryPoint, kind: str, why: str) -> None:
        owner = plug_in.dist.name if plug_in.dist else "an unknown package"
        super().__init__(f"{plug_in.name} of {owner} ({why})")
        _log.warning("the %s %s of %s is left out: %s", kind, plug_in.name, owner, why)


def plug_ins(group: str) -> list[importlib.metadata.EntryPoint]:
    """What other packages name under a group of entry points, by name."""
    return sorted(importlib.metadata.entry_points(group=group), key=lambda plug_in: plug_in.name)


def load(plug_in: importlib.metadata.EntryPoint, kind: str) -> Any:
    """What an entry point names.

    Args:
        plug_in: The entry point.
        kind: What it adds, as "model type".

    Raises:
        LeftOutError: If it cannot be loaded, for whatever cause: a package of others must not break this one.
    """
    try:
        return plug_in.load()
    except (Exception, SystemExit) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise LeftOutError(plug_in, kind, why) from error
