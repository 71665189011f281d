"""Where the operator's folders lie is the operator's affair: callers are told of places as they name them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ser.encoders.storage import encoder_root
from ser.errors import FieldViolation, SerError
from ser.storage.stores import is_address, local_path
from ser_inference_server.settings import Settings, local_folder


class Roots:
    """The folders of a server, and what to say in their stead."""

    def __init__(self, settings: Settings) -> None:
        """Looks where they lie."""
        places = {
            settings.model_root: "the model root",
            settings.data_root: "the data root",
            str(settings.jobs_path.parent): "the state root",
            str(encoder_root()): "the encoder root",
        }
        self._names: Mapping[str, str] = {
            str(folder): name
            for place, name in places.items()
            for folder in (local_folder(place).absolute(), local_folder(place).resolve())
            if folder.parent != folder
        }
        longest_first = sorted(self._names, key=len, reverse=True)
        folders = "|".join(map(re.escape, longest_first)) or "(?!)"
        self._inside = re.compile(rf"(?<![\w.-])({folders})(/+(?=[\w.])|(?![\w.-]))")

    def without(self, text: str) -> str:
        """A message in which what lies in a root is named from there, and a root by its name."""
        return self._inside.sub(lambda found: "" if found[2] else self._names[found[1]], text)

    def hide_in(self, error: SerError) -> None:
        """Makes an error one that a caller may see."""
        message = str(error)
        hidden = self.without(message)
        if hidden != message:
            error.args = (hidden,)
        if violations := getattr(error, "violations", ()):
            error.violations = tuple(  # type: ignore[attr-defined]  # of those that have some
                FieldViolation(one.field, self.without(one.description)) for one in violations
            )

    def shown(self, root: str, place: str) -> str:
        """A place inside a root as a caller may name it: relative to the root; the root itself is "."."""
        for folder in (root.rstrip("/"), *(() if is_address(root) else (str(local_path(root).resolve()),))):
            if place == folder:
                return "."
            if place.startswith(f"{folder}/"):
                return place[len(folder) + 1 :]
        return place if is_address(place) else Path(place).name  # it was inside another root, before
