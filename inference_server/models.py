"""The models that are served: opened once, checked each time, forgotten when they change."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from pathlib import Path

from ser.bundle import FILES, MANIFEST, Manifest, delete_bundle, find_bundle, list_models
from ser.errors import DamagedError
from ser.predictor import Predictor

Signature = tuple[tuple[int, int, int], ...]
logger = logging.getLogger("ser.models")


class ModelStore:
    """Opened models, the least lately used of which go first. One a process; threads may share it."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._open: OrderedDict[tuple[Path, str], tuple[Signature, Predictor]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def predictor(self, folder: Path, model_id: str) -> Predictor:
        """A model, ready to predict. Six calls of stat find out whether it is still what was opened.

        Raises:
            ConfigError: If `model_id` is not a name.
            NotFoundError: If there is no such model; the message lists those there are.
            DamagedError: If one of its files is missing or altered.
        """
        key, path = (folder, model_id), os.path.join(folder, model_id)  # noqa: PTH118 - a tenth of the time of Path
        held = self._open.get(key)
        if held is not None:
            try:
                unchanged = _signature(path) == held[0]
            except OSError:
                unchanged = False
            if unchanged:
                self._open.move_to_end(key)
                return held[1]
            self._open.pop(key, None)
        find_bundle(folder, model_id)
        try:
            signature = _signature(path)
        except FileNotFoundError as error:
            raise DamagedError(f"{Path(error.filename).name} of model {model_id} is missing") from None
        predictor = Predictor(folder, model_id)
        predictor.bundle.frontend, predictor.bundle.standardiser, predictor.bundle.model  # noqa: B018 - reads them
        self._open[key] = (signature, predictor)
        while len(self._open) > self._capacity:
            self._open.popitem(last=False)
        return predictor


def manifests(folder: Path) -> list[Manifest]:
    """The manifests of a folder's models, sorted by id; those that are damaged are logged and left out."""
    found = []
    for model_id in list_models(folder):
        try:
            found.append(Manifest.load(folder / model_id))
        except DamagedError as error:
            logger.warning("model left out of the list: %s", error, extra={"model_id": model_id})
    return found


def delete(folder: Path, model_id: str) -> None:
    """Deletes a model; who has it open keeps it until the end of the call.

    Raises:
        ConfigError: If `model_id` is not a name.
        NotFoundError: If there is no such model.
    """
    delete_bundle(find_bundle(folder, model_id))


def _signature(path: str) -> Signature:
    states = [os.stat(f"{path}/{name}") for name in (MANIFEST, *FILES)]  # noqa: PTH116 - as above
    return tuple((state.st_mtime_ns, state.st_size, state.st_ino) for state in states)
