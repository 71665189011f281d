"""Models by name: in a folder, or at an address in an object store, of which local copies are kept."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ser.bundle import MANIFEST, REPORT, Bundle, Manifest
from ser.enrolment import delete_speakers
from ser.errors import ConfigError, DamagedError, FieldViolation, NotFoundError
from ser.files import (
    STAMP,
    exclusive,
    is_being_replaced,
    make_folder,
    partial,
    read_json,
    recover,
    remove,
    replace_folder,
    write_json,
)
from ser.stores import Store, cache_folder, files_of, is_address, local_path

Place = str | os.PathLike[str]
"""A folder of models, or an address of one."""
_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_RECEIPTS = ".runs"
_LOOKS, _SECONDS_BETWEEN_LOOKS = 50, 0.01
"""How often a model is looked for that is between the two renames of its replacement; a killed process leaves it so."""
_READS = 3
"""How often a model is read that does not fit its manifest, because somebody may just be writing it."""


def find_bundle(model_save_path: Place, model_id: str) -> Path:
    """The folder of a model; of one at an address, that of a local copy, which is brought up to date.

    Raises:
        ConfigError: If `model_id` is not a name.
        NotFoundError: If there is no such model; the message lists those there are.
        DamagedError: If the model at an address is not whole.
        StoreError: If the address cannot be reached.
    """
    folder = bundle_folder(model_save_path, model_id)
    if is_address(model_save_path):
        if not _bring_up_to_date(_store(model_save_path, model_id), folder):
            raise _not_found(model_save_path, model_id)
    elif not _is_there(folder):
        raise _not_found(model_save_path, model_id)
    return folder


def bundle_folder(model_save_path: Place, model_id: str) -> Path:
    """Where a model lies if it is there; of one at an address, its local copy. Asks nobody.

    Raises:
        ConfigError: If `model_id` is not a name.
    """
    if not _MODEL_ID.fullmatch(model_id):
        raise ConfigError([FieldViolation("model_id", f"expected a name, not a path, got {model_id!r}")])
    root = cache_folder(os.fspath(model_save_path)) if is_address(model_save_path) else local_path(model_save_path)
    return root / model_id


def list_models(model_save_path: Place) -> list[str]:
    """The ids of the models of a place, sorted; empty if there is no such folder."""
    if is_address(model_save_path):
        store = Store(os.fspath(model_save_path))
        return [name for name in store.folders() if _MODEL_ID.fullmatch(name) and store.child(name).read(MANIFEST)]
    return sorted(path.parent.name for path in local_path(model_save_path).glob(f"[!.]*/{MANIFEST}"))


def load_manifest(model_save_path: Place, model_id: str) -> Manifest:
    """The manifest of one of `list_models`, without the model.

    Raises:
        NotFoundError: If the model is gone.
        DamagedError: If it is altered.
    """
    if not is_address(model_save_path):
        return Manifest.load(local_path(model_save_path) / model_id)
    store = _store(model_save_path, model_id)
    where, content = f"{store.address}/{MANIFEST}", store.read(MANIFEST)
    if content is None:
        raise _not_found(model_save_path, model_id)
    try:
        return Manifest.parse(json.loads(content), where)
    except ValueError as error:
        raise DamagedError(f"{where} is not the JSON that was written there: {error}") from None


def save_bundle(bundle: Path, report_folder: Path | None, model_save_path: Place) -> Path:
    """Copies a bundle, and its report, into a place under the model's id: whole, or not at all.

    A model of the same id is the same model; it is replaced only if it is not whole, or was trained again.

    Returns:
        Its folder there; of an address, the local copy's.
    """
    model_id = Bundle(bundle).manifest.model_id
    target = bundle_folder(model_save_path, model_id)

    def copy(folder: Path) -> None:
        shutil.copytree(bundle, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(STAMP, REPORT))
        if report_folder is not None:
            shutil.copytree(report_folder, folder / REPORT)

    made_from = read_json(bundle / STAMP)["made_from"]
    lacks_report = report_folder is not None and not (target / REPORT / STAMP).exists()
    same = (target / MANIFEST).is_file() and (target / MANIFEST).read_bytes() == (bundle / MANIFEST).read_bytes()
    make_folder(target, made_from, copy, force=lacks_report or (is_address(model_save_path) and not same))
    upload_bundle(model_save_path, model_id)
    return target


def upload_bundle(model_save_path: Place, model_id: str) -> None:
    """Lets an address have what its local copy has; of a folder there is nothing to do."""
    if not is_address(model_save_path):
        return
    folder = bundle_folder(model_save_path, model_id)
    store = _store(model_save_path, model_id)
    report = f"{REPORT}/{STAMP}"
    if store.read(MANIFEST) != (folder / MANIFEST).read_bytes() or (
        (folder / report).is_file() and store.read(report) != (folder / report).read_bytes()
    ):
        store.upload(files_of(folder), last=MANIFEST)


def delete_bundle(model_save_path: Place, model_id: str) -> None:
    """Deletes a model with its report, first out of sight, in one step, then from the disk; and who enrolled for it.

    Raises:
        ConfigError: If `model_id` is not a name.
        NotFoundError: If there is no such model.
    """
    folder = bundle_folder(model_save_path, model_id)
    if is_address(model_save_path):
        store = _store(model_save_path, model_id)
        there = store.read(MANIFEST) is not None
        store.delete(first=MANIFEST)
    else:
        there = folder.is_dir()
    if there:
        _forget(folder)
    delete_speakers(model_save_path, model_id)  # of a model that is gone too: a deletion that was killed goes on
    if not there:
        raise _not_found(model_save_path, model_id)


def write_receipt(model_save_path: Place, name: str, receipt: Mapping[str, Any]) -> None:
    """Leaves a note beside the models, for whoever ordered one and waits elsewhere for the end.

    Args:
        model_save_path: The place of the models.
        name: What the note was asked for under.
        receipt: What to say, JSON-serialisable.
    """
    if is_address(model_save_path):
        content = json.dumps(receipt, indent=2, allow_nan=False).encode()
        Store(os.fspath(model_save_path)).child(_RECEIPTS).write(f"{name}.json", content)
    else:
        folder = local_path(model_save_path) / _RECEIPTS
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / f"{name}.json", receipt)


def read_receipt(model_save_path: Place, name: str) -> dict[str, Any] | None:
    """What `write_receipt` left; None if there is nothing."""
    if is_address(model_save_path):
        content = Store(os.fspath(model_save_path)).child(_RECEIPTS).read(f"{name}.json")
        found = None if content is None else json.loads(content)
    else:
        path = local_path(model_save_path) / _RECEIPTS / f"{name}.json"
        found = read_json(path) if path.is_file() else None
    return found if isinstance(found, dict) else None


def _bring_up_to_date(store: Store, folder: Path) -> bool:
    """Makes a local copy what the store has; false if it has nothing."""
    for read in range(1, _READS + 1):
        manifest = store.read(MANIFEST)
        if manifest is None:
            _forget(folder)
            return False
        with exclusive(folder):
            recover(folder)
            kept = folder / MANIFEST
            if kept.is_file() and kept.read_bytes() == manifest:
                return True
            with partial(folder) as temporary:
                temporary.mkdir()
                store.download(temporary)
                try:
                    Bundle(temporary)
                except DamagedError as error:
                    if read < _READS:
                        continue
                    message = str(error).replace(f"{temporary}/", f"{store.address}/")
                    raise DamagedError(message) from None
                replace_folder(folder, temporary)
                return True
    raise AssertionError("the last read returns or raises")


def _forget(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(folder), partial(folder) as aside:
        if folder.exists():  # else somebody else was first
            folder.rename(aside)
            remove(aside)


def _is_there(folder: Path) -> bool:
    """Whether a model is there; one that is just being replaced is, a moment later."""
    for _ in range(_LOOKS):
        if folder.is_dir():
            return True
        if not is_being_replaced(folder):
            return folder.is_dir()
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return False


def _store(model_save_path: Place, model_id: str) -> Store:
    return Store(f"{os.fspath(model_save_path).rstrip('/')}/{model_id}")


def _not_found(model_save_path: Place, model_id: str) -> NotFoundError:
    known = ", ".join(list_models(model_save_path)) or "none"
    return NotFoundError(f"model_id: no model {model_id!r} in {os.fspath(model_save_path)}; there is: {known}")
