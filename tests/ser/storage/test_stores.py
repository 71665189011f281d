"""Models and data in an object store, against servers that speak S3 and Cloud Storage."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser.bundles.bundle import Bundle
from ser.bundles.manifest import MANIFEST, TFLITE
from ser.bundles.model_store import delete_bundle, find_bundle, list_models, save_bundle
from ser.dataset import Dataset
from ser.errors import ConfigError, DamagedError, NotFoundError
from ser.predictor import Predictor
from ser.storage.stamps import STAMP
from ser.storage.stores import Store, StoreError, cache_folder, open_place
from ser.trainer import Trainer
from tests.object_store import gs_bucket, gs_endpoint, objects, put, s3_bucket, s3_endpoint
from tests.signals import tone, wav

__all__ = ["gs_bucket", "gs_endpoint", "s3_bucket", "s3_endpoint"]


@pytest.fixture(params=["s3_bucket", "gs_bucket"], ids=["s3", "gs"])
def bucket(request: pytest.FixtureRequest) -> str:
    """The address of an empty bucket, of S3 and of Cloud Storage in turn."""
    return str(request.getfixturevalue(request.param))


def clear_cache() -> None:
    shutil.rmtree(os.environ["SER_CACHE_ROOT"])


def test_a_model_is_saved_found_used_and_deleted(bucket: str, bundle: Bundle) -> None:
    place, model_id = f"{bucket}/models", bundle.manifest.model_id
    assert list_models(place) == []
    save_bundle(bundle.folder, bundle.report, place)
    assert list_models(place) == [model_id]
    assert {f"models/{model_id}/{name}" for name in (MANIFEST, TFLITE, "report/report.html")} <= objects(bucket).keys()
    clear_cache()
    there, here = Predictor(place, model_id), Predictor(bundle.folder.parent, model_id)
    assert there.predict(wav(tone())) == here.predict(wav(tone()))
    assert there.bundle.folder == cache_folder(place) / model_id
    delete_bundle(place, model_id)
    assert objects(bucket) == {}
    with pytest.raises(NotFoundError, match=f"no model '{model_id}' in {bucket}/models; there is: none"):
        find_bundle(place, model_id)
    assert not (cache_folder(place) / model_id).exists()


def test_training_goes_there_and_is_not_done_twice(bucket: str, features: Path) -> None:
    trainer = Trainer("KerasClassifier", {"epochs": 2})
    first = trainer.train(features, bucket)
    clear_cache()  # as on another machine
    told: list[str] = []
    again = Trainer("KerasClassifier", {"epochs": 2}, report=lambda progress: told.append(progress.stage))
    assert again.train(features, bucket).manifest == first.manifest
    assert "train" not in told


def test_what_is_kept_here_is_used_until_the_model_changes(bucket: str, bundle: Bundle) -> None:
    model_id = bundle.manifest.model_id
    save_bundle(bundle.folder, bundle.report, bucket)
    folder = find_bundle(bucket, model_id)
    before = (folder / TFLITE).stat().st_mtime_ns
    assert (find_bundle(bucket, model_id) / TFLITE).stat().st_mtime_ns == before
    changed = json.loads((bundle.folder / MANIFEST).read_text())
    manifest = bundle.manifest.model_copy(update={"seconds": bundle.manifest.seconds + 1})
    other = folder.parent / "other"
    other.mkdir()
    manifest.save(other)
    put(bucket, f"{model_id}/{MANIFEST}", (other / MANIFEST).read_bytes())
    assert Bundle(find_bundle(bucket, model_id)).manifest.seconds == changed["seconds"] + 1
    assert (find_bundle(bucket, model_id) / TFLITE).stat().st_mtime_ns != before


@pytest.mark.parametrize("name", [TFLITE, MANIFEST])
def test_what_does_not_fit_its_sum_is_not_used(bucket: str, bundle: Bundle, name: str) -> None:
    model_id = bundle.manifest.model_id
    save_bundle(bundle.folder, bundle.report, bucket)
    clear_cache()
    put(bucket, f"{model_id}/{name}", objects(bucket)[f"{model_id}/{name}"][:-20])
    with pytest.raises(DamagedError, match=f"{bucket}/{model_id}/{name}"):
        find_bundle(bucket, model_id)
    assert not cache_folder(bucket).joinpath(model_id).exists()


def test_a_model_without_a_manifest_is_not_there(bucket: str, bundle: Bundle) -> None:
    # What is left of an upload that was killed: the manifest comes last.
    put(bucket, f"{bundle.manifest.model_id}/{TFLITE}", b"half")
    assert list_models(bucket) == []
    with pytest.raises(NotFoundError):
        find_bundle(bucket, bundle.manifest.model_id)


def test_an_upload_replaces_what_was_there(bucket: str, tmp_path: Path) -> None:
    for name in ("a", "b", "last"):
        (tmp_path / name).write_text(name)
    store = Store(f"{bucket}/folder")
    store.upload({"a": tmp_path / "a", "deep/b": tmp_path / "b", "last": tmp_path / "last"}, last="last")
    assert objects(bucket) == {"folder/a": b"a", "folder/deep/b": b"b", "folder/last": b"last"}
    store.upload({"b": tmp_path / "b", "last": tmp_path / "last"}, last="last")
    assert objects(bucket) == {"folder/b": b"b", "folder/last": b"last"}


def test_the_zip_and_the_features_are_kept_there(bucket: str, corpus_zip: Path, tmp_path: Path) -> None:
    source = tmp_path / "corpus.zip"
    shutil.copy2(corpus_zip, source)
    expected = Dataset(f"{bucket}/data", str(source)).get_features()
    rows, samples = np.array(expected.rows), expected.samples
    kept = {key.split("/")[1] for key in objects(bucket)}
    assert kept == {"download", "features"}
    assert sum(key.endswith(STAMP) for key in objects(bucket)) == 2
    clear_cache()
    told: list[str] = []
    again = Dataset(f"{bucket}/data", str(source), report=lambda progress: told.append(progress.stage)).get_features()
    assert np.array_equal(again.rows, rows)
    assert again.samples == samples
    assert not {"download", "features"} & set(told)


def test_file_addresses_are_folders(tmp_path: Path, bundle: Bundle) -> None:
    place = f"file://{tmp_path}/models"
    save_bundle(bundle.folder, bundle.report, place)
    assert list_models(tmp_path / "models") == list_models(place) == [bundle.manifest.model_id]
    assert Predictor(place, bundle.manifest.model_id).predict(wav(tone())).prediction in bundle.manifest.classes


def test_an_unknown_scheme_and_a_bucket_that_is_not_there_are_told(bucket: str) -> None:
    with pytest.raises(ConfigError, match="nothing://x"):
        list_models("nothing://x")
    missing = f"{bucket.partition(':')[0]}://not-there-at-all/models"
    with pytest.raises(StoreError, match=missing):
        Store(missing).upload({"a": Path(__file__)}, last="a")


@pytest.mark.parametrize("torn_reads", [1, 2, 3])
def test_a_model_that_somebody_writes_while_it_is_read_is_read_again(
    torn_reads: int, s3_bucket: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice: files that do not fit the manifest a third time are damaged."""
    model_id = bundle.manifest.model_id
    save_bundle(bundle.folder, None, s3_bucket)
    clear_cache()
    download, reads = Store.download, 0

    def meet_a_writer(store: Store, folder: Path) -> None:
        nonlocal reads
        reads += 1
        download(store, folder)
        if reads <= torn_reads:
            (folder / TFLITE).write_bytes(b"of another training")

    monkeypatch.setattr(Store, "download", meet_a_writer)
    if torn_reads < 3:
        assert Bundle(find_bundle(s3_bucket, model_id)).manifest == bundle.manifest
        assert reads == torn_reads + 1
    else:
        with pytest.raises(DamagedError, match=r"model\.tflite was altered"):
            find_bundle(s3_bucket, model_id)
        assert not (cache_folder(s3_bucket) / model_id).exists()


def test_the_file_that_makes_a_model_count_is_written_last_and_deleted_first(
    s3_bucket: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    store = open_place(s3_bucket, bundle.manifest.model_id)
    assert isinstance(store, Store)
    files = store._files  # the same for whoever opens the place: fsspec keeps it

    def noted(verb: str) -> Callable[..., Any]:
        original = getattr(files, verb)

        def note(*arguments: Any) -> Any:
            order.append(f"{verb} {arguments[-1].rpartition('/')[2]}")
            return original(*arguments)

        return note

    for verb in ("put_file", "rm_file"):
        monkeypatch.setattr(files, verb, noted(verb))
    save_bundle(bundle.folder, None, s3_bucket)
    assert order[-1] == f"put_file {MANIFEST}"
    assert len(order) >= 4
    order.clear()
    delete_bundle(s3_bucket, bundle.manifest.model_id)
    assert order[0] == f"rm_file {MANIFEST}"


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "..", "report/../../../x"])
def test_no_object_is_written_outside_its_folder(
    name: str, s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a store calls its objects; S3 itself lets names have dots in them."""
    store = open_place(s3_bucket, "model")
    assert isinstance(store, Store)
    store.write("a..b", b"harmless")
    folder = tmp_path / "deep" / "folder"
    folder.mkdir(parents=True)
    store.download(folder)
    assert (folder / "a..b").read_bytes() == b"harmless"
    monkeypatch.setattr(Store, "_names", lambda _: {name})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreError, match=r"leads out of its folder"):
        store.download(folder)
    assert sorted(tmp_path.rglob("*")) == before
