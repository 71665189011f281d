"""Models by name: in a folder, or at an address in an object store, of which local copies are kept."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ser.bundles.bundle import Bundle
from ser.bundles.encoders import bring_encoders, keep_encoders
from ser.bundles.manifest import MANIFEST, MODEL_ID, REPORT, Manifest
from ser.errors import ConfigError, DamagedError, FieldViolation, NotFoundError, StorageError
from ser.speakers.enrolment import delete_speakers, keep_speakers_of
from ser.storage.files import exclusive, is_being_replaced, make_folder, partial, recover, remove, replace_folder, sweep
from ser.storage.stamps import LARGEST_STAMP_BYTES, STAMP, Stamp, check_folder, read_stamp
from ser.storage.stored_file import StoredFolder, storage_errors
from ser.storage.stores import Store, cache_folder, files_of, is_address, local_path, open_place
from ser.storage.strict_json import parse_object

Place = str | os.PathLike[str]
"""A folder of models, or an address of one."""
LARGEST_REPORT_BYTES = 64 << 20
_REPORT_PAGE = "report.html"
_RECEIPTS = ".runs"
_LOOKS, _SECONDS_BETWEEN_LOOKS = 50, 0.01
"""How often a model is looked for that is between the two renames of its replacement; a killed process leaves it so."""
_TRIES, _SECONDS_BETWEEN_TRIES = 20, 0.02
"""How often a model is read again that was replaced meanwhile; a replacement takes two renames."""
Read = TypeVar("Read")
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
        bring_encoders(model_save_path, Manifest.load(folder))
    elif not _is_there(folder):
        raise _not_found(model_save_path, model_id)
    return folder


def open_bundle(model_save_path: Place, model_id: str) -> Bundle:
    """A model, whole. Errors name it by its id.

    Raises:
        SerError: As of `find_bundle`.
        DamagedError: If a file is missing or altered, or it is another model.
        StorageError: If the operating system does not let a file be read.
    """
    folder = find_bundle(model_save_path, model_id)
    try:
        bundle = Bundle(folder, model_id)
    except DamagedError:
        if os.path.lexists(folder):
            raise
        raise _not_found(model_save_path, model_id) from None  # deleted meanwhile
    _check_id(bundle.manifest, model_id, f"{model_id}/{MANIFEST}")
    return bundle


def read_undisturbed(model_save_path: Place, model_id: str, read: Callable[[], Read]) -> Read:
    """Reads several files of a model; once more where it was deleted or replaced meanwhile.

    What was read then is of two models, or of none.

    Args:
        model_save_path: The place of the models.
        model_id: Which model.
        read: Reads them; may be called again.

    Raises:
        SerError: As `read` does.
    """
    folder = bundle_folder(model_save_path, model_id)
    for patience in range(_TRIES, -1, -1):
        before = _identity(folder)
        try:
            return read()
        except (DamagedError, NotFoundError, StorageError):  # what is just being replaced is not found either
            if not patience or _identity(folder) == before:
                raise
        time.sleep(_SECONDS_BETWEEN_TRIES)
    raise AssertionError("the last try returns or raises")


def check_model_id(model_id: str) -> None:
    """Refuses what is not a name.

    Raises:
        ConfigError: If it is not.
    """
    if not MODEL_ID.fullmatch(model_id):
        raise ConfigError([FieldViolation("model_id", f"expected a name, not a path, got {model_id!r}")])


def bundle_folder(model_save_path: Place, model_id: str) -> Path:
    """Where a model lies if it is there; of one at an address, its local copy. Asks nobody.

    Raises:
        ConfigError: If `model_id` is not a name.
    """
    check_model_id(model_id)
    root = cache_folder(os.fspath(model_save_path)) if is_address(model_save_path) else local_path(model_save_path)
    return root / model_id


def list_models(model_save_path: Place) -> list[str]:
    """The ids of the models of a place, sorted; empty if there is no such folder.

    Raises:
        StorageError: If the operating system does not let the folder be read.
        StoreError: If the address cannot be reached.
    """
    if is_address(model_save_path):
        store = Store(os.fspath(model_save_path))
        return [name for name in store.folders() if MODEL_ID.fullmatch(name) and store.child(name).read(MANIFEST)]
    root = local_path(model_save_path)
    names = (name for name in open_place(root).files() if MODEL_ID.fullmatch(name))
    return [name for name in names if os.path.lexists(root / name / MANIFEST)]


def newest_model(model_save_path: Place) -> str:
    """The id of the model that was made last; damaged ones are passed over.

    Raises:
        NotFoundError: If there is none.
    """
    created = {}
    for name in list_models(model_save_path):
        try:
            created[name] = load_manifest(model_save_path, name).created
        except (DamagedError, StorageError):
            continue
    if not created:
        raise NotFoundError(f"no model in {os.fspath(model_save_path)}; train one with: ser train, or make demo")
    return max(created, key=lambda name: created[name])


def load_manifest(model_save_path: Place, model_id: str) -> Manifest:
    """The manifest of one of `list_models`, without the model.

    Raises:
        NotFoundError: If the model is gone.
        DamagedError: If it is altered, or another model's.
        StorageError: If the operating system does not let it be read.
    """
    if is_address(model_save_path):
        store = _store(model_save_path, model_id)
        where, content = f"{store.address}/{MANIFEST}", store.read(MANIFEST)
        if content is None:
            raise _not_found(model_save_path, model_id)
        manifest = Manifest.parse(content, where)
    else:
        where = f"{model_id}/{MANIFEST}"
        manifest = Manifest.load(StoredFolder(bundle_folder(model_save_path, model_id), model_id))
    _check_id(manifest, model_id, where)
    return manifest


def load_report(model_save_path: Place, model_id: str) -> bytes:
    """The page of a model's report, HTML in UTF-8, as the evaluation wrote it.

    Raises:
        NotFoundError: If there is no such model, or it was not evaluated.
        DamagedError: If the page is missing or altered, or no regular file in a folder without links.
        SerError: As of `find_bundle`.
    """
    return read_undisturbed(model_save_path, model_id, lambda: _report(model_save_path, model_id))


def _report(model_save_path: Place, model_id: str) -> bytes:
    model = StoredFolder(find_bundle(model_save_path, model_id), model_id)
    if not os.path.lexists(model.path / REPORT):
        raise NotFoundError(f"model_id: model {model_id} was not evaluated, it has no report")
    stamp, page = f"{REPORT}/{STAMP}", f"{REPORT}/{_REPORT_PAGE}"
    written = Stamp.parse(model.read(stamp, at_most=LARGEST_STAMP_BYTES), model.where(stamp))
    if written is None:
        raise DamagedError(f"{model.where(REPORT)} has no digests, an older version wrote it: evaluate the model again")
    content = model.read(page, at_most=LARGEST_REPORT_BYTES)
    written.verify(_REPORT_PAGE, content, model.where(page))
    return content


def save_bundle(bundle: Path, report_folder: Path | None, model_save_path: Place) -> Path:
    """Copies a bundle, and its report, into a place under the model's id: whole, or not at all.

    A model of the same id is the same model; it is replaced only if it is not whole, or was trained again. Speakers
    who enrolled for another training of it are forgotten.

    Returns:
        Its folder there; of an address, the local copy's.

    Raises:
        DamagedError: If the bundle or the report is not whole.
        StorageError: If the operating system does not let it be written.
    """
    manifest = Bundle(bundle).manifest
    model_id = manifest.model_id
    target = bundle_folder(model_save_path, model_id)

    def copy(folder: Path) -> None:
        _copy_files(bundle, folder, (MANIFEST, *manifest.files))
        Bundle(folder, model_id)  # what was copied is what was checked
        if report_folder is not None:
            (folder / REPORT).mkdir()
            _copy_files(report_folder, folder / REPORT, (STAMP, *check_folder(report_folder).files))
            check_folder(StoredFolder(folder / REPORT, f"{model_id}/{REPORT}"))

    stamp = read_stamp(bundle)
    if stamp is None:
        raise DamagedError(f"{bundle / STAMP} is missing, or of an older version: train the model again")
    lacks_report = report_folder is not None and not (target / REPORT / STAMP).exists()
    same = (target / MANIFEST).is_file() and (target / MANIFEST).read_bytes() == (bundle / MANIFEST).read_bytes()
    force = lacks_report or (is_address(model_save_path) and not same)
    with storage_errors(model_id):
        make_folder(target, stamp.made_from, copy, force=force)
    upload_bundle(model_save_path, model_id)
    keep_speakers_of(model_save_path, model_id, Manifest.load(target).training)
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
        keep_encoders(model_save_path, Manifest.load(folder))  # before the model, which is whole with its manifest
        store.upload(files_of(folder), last=MANIFEST)


def training_now(model_save_path: Place, model_id: str) -> str | None:
    """Which training of a model there is at this moment (`Manifest.training`); None if there is no such model.

    Raises:
        DamagedError: If its manifest is none.
        StoreError: If the address cannot be reached.
    """
    content = open_place(model_save_path, model_id).read(MANIFEST)
    return None if content is None else Manifest.parse(content, f"{model_id}/{MANIFEST}").training


def delete_bundle(model_save_path: Place, model_id: str) -> None:
    """Deletes a model with its report, first out of sight, in one step, then from the disk; and who enrolled for it.

    Of a model that is gone, those who enrolled for it are deleted: a deletion that was killed goes on.

    Raises:
        ConfigError: If `model_id` is not a name.
        NotFoundError: If there is no such model, and nobody enrolled for it.
        StorageError: If the operating system does not let it be deleted.
    """
    folder = bundle_folder(model_save_path, model_id)
    if is_address(model_save_path):
        store = _store(model_save_path, model_id)
        there = store.read(MANIFEST) is not None
        store.delete(first=MANIFEST)
    else:
        there = os.path.lexists(folder)
        sweep(folder.parent)  # what a deletion left that was killed
    if there:
        _forget(folder)
    if not delete_speakers(model_save_path, model_id) and not there:
        raise _not_found(model_save_path, model_id)


def write_receipt(model_save_path: Place, name: str, receipt: Mapping[str, Any]) -> None:
    """Leaves a note beside the models, for whoever ordered one and waits elsewhere for the end.

    Args:
        model_save_path: The place of the models.
        name: What the note was asked for under.
        receipt: What to say, JSON-serialisable.
    """
    content = json.dumps(receipt, indent=2, allow_nan=False).encode()
    open_place(model_save_path, _RECEIPTS).write(f"{name}.json", content)


def read_receipt(model_save_path: Place, name: str) -> dict[str, Any] | None:
    """What `write_receipt` left; None if there is nothing.

    Raises:
        DamagedError: If it is something else.
    """
    notes = open_place(model_save_path, _RECEIPTS)
    content = notes.read(f"{name}.json")
    return None if content is None else parse_object(content, f"{notes.address}/{name}.json")


def _identity(folder: Path) -> tuple[int, int] | None:
    """Another one whenever the folder is another one; None if there is none."""
    try:
        state = folder.stat()
    except FileNotFoundError:
        return None
    return state.st_ino, state.st_ctime_ns  # a number is used again, at another time


def _bring_up_to_date(store: Store, folder: Path) -> bool:
    """Makes a local copy what the store has; false if it has nothing."""
    for read in range(1, _READS + 1):
        manifest = store.read(MANIFEST)
        if manifest is None:
            _forget(folder)
            return False
        with storage_errors(f"the local copy of {store.address}"), exclusive(folder):
            recover(folder)
            kept = folder / MANIFEST
            if kept.is_file() and kept.read_bytes() == manifest:
                return True
            with partial(folder) as temporary:
                temporary.mkdir()
                store.download(temporary)
                try:
                    Bundle(temporary, store.address)
                except DamagedError:
                    if read < _READS:
                        continue
                    raise
                replace_folder(folder, temporary)
                return True
    raise AssertionError("the last read returns or raises")


def _forget(folder: Path) -> None:
    with storage_errors(folder.name):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(folder), partial(folder) as aside:
            if os.path.lexists(folder):  # else somebody else was first
                folder.rename(aside)
                remove(aside)


def _copy_files(source: Path, target: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name, follow_symlinks=False)


def _check_id(manifest: Manifest, model_id: str, where: str) -> None:
    if manifest.model_id != model_id:
        raise DamagedError(f"{where} is the manifest of another model, {manifest.model_id}")


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
