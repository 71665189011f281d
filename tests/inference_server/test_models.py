"""The models that a worker holds: so many, the last used ones, as long as they are what was opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ser.bundles.bundle import Bundle
from ser.bundles.manifest import VALIDATION
from ser_inference_server.models import ModelStore
from tests.forgery import copy_as

NAMES = ("a", "b", "c")


@pytest.fixture
def root(bundle: Bundle, tmp_path: Path) -> str:
    for name in NAMES:
        copy_as(bundle.folder, tmp_path / name)
    return str(tmp_path)


def test_as_many_are_held_as_may_be_and_the_least_lately_used_goes_first(root: str) -> None:
    store = ModelStore(2, 10.0)
    for name in ("a", "b"):
        store.keep(root, name, store.open(root, name))
    assert store.held(root, "a")  # used: now it is the younger one
    store.keep(root, "c", store.open(root, "c"))
    assert len(store) == 2
    assert [bool(store.held(root, name)) for name in NAMES] == [True, False, True]
    store.keep(root, "a", store.open(root, "a"))  # opened again, as by two calls at once
    store.keep(root, "b", store.open(root, "b"))
    assert [bool(store.held(root, name)) for name in NAMES] == [True, True, False]


@pytest.mark.parametrize("gone", [False, True])
def test_a_model_that_is_not_what_was_opened_is_let_go(root: str, gone: bool) -> None:
    store = ModelStore(8, 10.0)
    for name in NAMES:
        store.keep(root, name, store.open(root, name))
    manifest = Path(root, "b", "manifest.json")
    if gone:
        manifest.unlink()
    else:
        os.utime(manifest, ns=(1, 1))
    assert [bool(store.held(root, name)) for name in NAMES] == [True, False, True]
    assert len(store) == 2


def test_a_copy_with_the_times_and_numbers_of_the_files_before_is_another_model(root: str) -> None:
    """As where a model is deleted and a copy put in its place, which keeps times and may get the old inodes."""
    store = ModelStore(4, 10.0)
    store.keep(root, "a", store.open(root, "a"))
    assert store.held(root, "a")
    file = Path(root, "a", VALIDATION)
    before, content = file.stat(), file.read_bytes()
    with file.open("r+b") as opened:
        opened.write(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = file.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    assert store.held(root, "a") is None
