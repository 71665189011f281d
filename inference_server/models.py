"""The models that are served: opened once, checked each time, forgotten when they change."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from ser.bundles.manifest import FILES, MANIFEST
from ser.bundles.model_store import find_bundle, read_undisturbed
from ser.errors import DamagedError, NotFoundError, SerError, StorageError
from ser.predictor import Predictor
from ser.storage.stores import is_address
from ser_inference_server.cost import Cost

Signature = tuple[tuple[int, int, int], ...]
logger = logging.getLogger("ser.models")


@dataclass(frozen=True)
class ServedModel:
    """A model that is open."""

    predictor: Predictor
    cost: Cost
    """What its predictions take."""
    signature: Signature
    """Of its files when they were read."""

    @property
    def words(self) -> str:
        """What errors call it."""
        return f"model {self.predictor.model_id}"


class ModelStore:
    """Opened models, the least lately used of which go first. One a process; the event loop's alone, but for `open`."""

    def __init__(self, capacity: int, refresh_seconds: float) -> None:
        self._capacity = capacity
        self._refresh_seconds = refresh_seconds
        self._open: OrderedDict[tuple[str, str], ServedModel] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def held(self, place: str, model_id: str) -> ServedModel | None:
        """A model that is open; six calls of stat find out whether it is still what was opened."""
        model = self._open.get((place, model_id))
        if model is None:
            return None
        try:
            unchanged = _signature(str(model.predictor.bundle.folder)) == model.signature
        except OSError:
            unchanged = False
        if not unchanged:
            del self._open[place, model_id]
            return None
        self._open.move_to_end((place, model_id))
        return model

    def keep(self, place: str, model_id: str, model: ServedModel) -> None:
        """Holds a model that was opened."""
        self._open[place, model_id] = model
        self._open.move_to_end((place, model_id))
        while len(self._open) > self._capacity:
            self._open.popitem(last=False)

    def open(self, place: str, model_id: str) -> ServedModel:
        """Opens a model, ready to predict; one of an object store is brought here first. For threads to call.

        Raises:
            ConfigError: If `model_id` is not a name.
            NotFoundError: If there is no such model, or none any more; the message lists those there are.
            DamagedError: If one of its files is missing, altered, or no regular file.
            StorageError: If the operating system does not let one be read.
            StoreError: If the object store cannot be reached.
        """
        return read_undisturbed(place, model_id, lambda: self._read(place, model_id, find_bundle(place, model_id)))

    def _read(self, place: str, model_id: str, folder: Path) -> ServedModel:
        signature = _signature_of(folder, model_id)
        predictor = Predictor(place, model_id, refresh_seconds=self._refresh_seconds)
        bundle = predictor.bundle
        bundle.frontend, bundle.standardiser, bundle.model, bundle.adaptation  # noqa: B018 - reads them
        if _signature_of(folder, model_id) != signature:
            raise DamagedError(f"model {model_id} was changed while it was read")
        return ServedModel(predictor, Cost(predictor), signature)

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


def _signature_of(folder: Path, model_id: str) -> Signature:
    try:
        return _signature(str(folder))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DamagedError(f"{model_id}/{os.path.basename(error.filename)} is missing") from None  # noqa: PTH119
    except OSError as error:
        raise StorageError(model_id, error) from error


def _signature(path: str) -> Signature:
    states = [os.stat(f"{path}/{name}") for name in (MANIFEST, *FILES)]  # noqa: PTH116 - as above
    # Not when it was modified: a copy keeps that, and may get the number of the file that it comes in place of.
    return tuple((state.st_ctime_ns, state.st_size, state.st_ino) for state in states)
