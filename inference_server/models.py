"""The models that are served: opened once, checked each time, forgotten when they change."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict

from ser.errors import DamagedError, NotFoundError, SerError, StorageError
from ser.manifest import FILES, MANIFEST, Manifest
from ser.model_store import find_bundle, list_models, load_manifest
from ser.predictor import Predictor
from ser.stores import is_address

Signature = tuple[tuple[int, int, int], ...]
logger = logging.getLogger("ser.models")


class ModelStore:
    """Opened models, the least lately used of which go first. One a process; threads may share it."""

    def __init__(self, capacity: int, refresh_seconds: float) -> None:
        self._capacity = capacity
        self._refresh_seconds = refresh_seconds
        self._open: OrderedDict[tuple[str, str], tuple[Signature, Predictor]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def held(self, place: str, model_id: str) -> Predictor | None:
        """A model that is open; six calls of stat find out whether it is still what was opened."""
        found = self._open.get((place, model_id))
        if found is None:
            return None
        signature, predictor = found
        try:
            unchanged = _signature(str(predictor.bundle.folder)) == signature
        except OSError:
            unchanged = False
        if not unchanged:
            self._open.pop((place, model_id), None)
            return None
        self._open.move_to_end((place, model_id))
        return predictor

    def open(self, place: str, model_id: str) -> Predictor:
        """Opens a model, ready to predict; one of an object store is brought here first.

        Raises:
            ConfigError: If `model_id` is not a name.
            NotFoundError: If there is no such model; the message lists those there are.
            DamagedError: If one of its files is missing or altered.
            StoreError: If the object store cannot be reached.
        """
        key, folder = (place, model_id), find_bundle(place, model_id)
        try:
            signature = _signature(str(folder))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise DamagedError(f"{model_id}/{os.path.basename(error.filename)} is missing") from None  # noqa: PTH119
        except OSError as error:
            raise StorageError(model_id, error) from error
        predictor = Predictor(place, model_id, refresh_seconds=self._refresh_seconds)
        bundle = predictor.bundle
        bundle.frontend, bundle.standardiser, bundle.model, bundle.adaptation  # noqa: B018 - reads them
        self._open[key] = (signature, predictor)
        while len(self._open) > self._capacity:
            self._open.popitem(last=False)
        return predictor

    def refresh(self) -> None:
        """Brings those that are open, and come from an object store, up to date here.

        While the store cannot be reached they are served as they are.
        """
        for place, model_id in [key for key in list(self._open) if is_address(key[0])]:
            try:
                find_bundle(place, model_id)
            except NotFoundError:
                logger.info("model is gone from its store", extra={"model_id": model_id})
            except SerError as error:
                logger.warning("model cannot be compared with its store: %s", error, extra={"model_id": model_id})


def manifests(place: str) -> list[Manifest]:
    """The manifests of a place's models, sorted by id; those that cannot be read are logged and left out."""
    found = []
    for model_id in list_models(place):
        try:
            found.append(load_manifest(place, model_id))
        except NotFoundError:  # deleted meanwhile
            continue
        except (DamagedError, StorageError) as error:
            logger.warning("model left out of the list: %s", error, extra={"model_id": model_id})
    return found


def _signature(path: str) -> Signature:
    states = [os.stat(f"{path}/{name}") for name in (MANIFEST, *FILES)]  # noqa: PTH116 - as above
    return tuple((state.st_mtime_ns, state.st_size, state.st_ino) for state in states)
