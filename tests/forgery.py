"""Bundles as somebody would write them who means ill, or a disk that fails: altered, with digests that fit."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ser.storage.arrays import load_arrays, save_arrays
from ser.storage.files import write_json
from ser.storage.stamps import Stamp
from ser.storage.strict_json import fingerprint


def forge_manifest(folder: Path, change: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
    """Alters a manifest, and gives it the digests of the files as they are, and its own."""
    path = folder / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["digest"]
    for name in content["files"]:
        content["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    change(content)
    path.write_text(json.dumps({**content, "digest": fingerprint(content)}), encoding="utf-8")


def copy_as(model: Path, target: Path) -> None:
    """Copies a model under another name: that of the folder."""
    shutil.copytree(model, target)
    forge_manifest(target, lambda content: content.update(model_id=target.name))


def forge_text(folder: Path, field: str, text: str) -> None:
    """Puts text in the place of a field's value, whatever JSON makes of it."""
    path = folder / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content[field] = "<here>"
    path.write_text(json.dumps(content).replace('"<here>"', text), encoding="utf-8")


def forge_arrays(
    folder: Path, name: str, change: Callable[[dict[str, np.ndarray[Any, Any]]], Mapping[str, Any]]
) -> None:
    """Alters an .npz of a bundle; the manifest has its new digest."""
    save_arrays(folder / name, change(dict(load_arrays(folder / name))))
    forge_manifest(folder)


def forge_stamp(folder: Path, made_from: dict[str, Any] | None = None) -> None:
    """Gives the stamp of a folder the digests of the files as they are, and its own; and other inputs, if asked."""
    made_from = made_from or json.loads((folder / "stamp.json").read_text(encoding="utf-8"))["made_from"]
    (folder / "stamp.json").unlink()
    stamp = Stamp.of(folder, made_from, digests=True)
    write_json(folder / "stamp.json", {**stamp.model_dump(), "digest": stamp.digest})
