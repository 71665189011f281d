"""What lies in the folder of models is data: a bad model is named as DATA_LOSS, and hurts no other."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from ser.bundles.bundle import Bundle
from ser.bundles.manifest import FRONTEND, TFLITE
from tests.forgery import forge_arrays, forge_manifest, forge_text
from tests.inference_server.harness import Server, serve
from tests.signals import tone, wav

CLIP = wav(tone(2.0))


@pytest.fixture(scope="module")
def keeper(adaptive: Bundle, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a model that adapts and one that does not."""
    folder = tmp_path_factory.mktemp("keeper")
    for one in (adaptive, bundle):
        shutil.copytree(one.folder, folder / "models" / one.manifest.model_id)
    with serve(folder) as server:
        yield server


@pytest.fixture
def bad(keeper: Server, bundle: Bundle) -> Iterator[Path]:
    """A model beside the good ones that a test may damage."""
    folder = keeper.models / "KerasClassifier-badbadbadbad"
    shutil.copytree(bundle.folder, folder)
    forge_manifest(folder, lambda content: content.update(model_id=folder.name))
    yield folder
    shutil.rmtree(folder)


def predict(client: httpx.Client, model_id: str) -> httpx.Response:
    return client.post("/predict", data={"model_id": model_id}, files={"audio": CLIP})


def listed(client: httpx.Client) -> set[str]:
    answer = client.get("/models")
    assert answer.status_code == 200, answer.text
    return {model["model_id"] for model in answer.json()["models"]}


def lost(answer: httpx.Response, server: Server, *names: str) -> None:
    """Asserts DATA_LOSS that names these, and no path of the machine."""
    assert answer.status_code == 500, answer.text
    body = answer.json()
    assert body["code"] == 15, body
    for name in names:
        assert name in body["message"]
    assert str(server.models) not in body["message"]


def test_a_sound_model_beside_is_listed_and_predicts(keeper: Server, bad: Path, model_id: str) -> None:
    with keeper.client() as client:
        assert {bad.name, model_id} <= listed(client)
        assert predict(client, bad.name).status_code == 200


def fifo(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    os.mkfifo(folder / "manifest.json")


def link(folder: Path) -> None:
    shutil.move(folder / "manifest.json", folder / "elsewhere.json")
    (folder / "manifest.json").symlink_to("elsewhere.json")


MANIFESTS: dict[str, Callable[[Path], None]] = {
    "fifo": fifo,
    "link": link,
    "nan": lambda folder: forge_text(folder, "seconds", "NaN"),
    "beyond": lambda folder: forge_text(folder, "seconds", "1e999"),
    "deep": lambda folder: forge_text(folder, "hyperparameters", '{"a":' * 3_000 + "1" + "}" * 3_000),
    "digits": lambda folder: forge_text(folder, "hyperparameters", '{"a": ' + "7" * 5_000 + "}"),
    "text": lambda folder: forge_manifest(folder, lambda content: content.update(source="\ud800")),
    "no classes": lambda folder: forge_manifest(folder, lambda content: content.update(classes=[])),
    "twice": lambda folder: forge_manifest(folder, lambda content: content.update(classes=["a"] * 7)),
    "another": lambda folder: forge_manifest(folder, lambda content: content.update(model_id="other")),
    "date": lambda folder: forge_manifest(folder, lambda content: content.update(created="now")),
}


@pytest.mark.parametrize("damage", MANIFESTS.values(), ids=MANIFESTS)
def test_a_bad_manifest_is_left_out_and_named(
    keeper: Server, bad: Path, model_id: str, damage: Callable[[Path], None]
) -> None:
    damage(bad)
    with keeper.client() as client:
        names = listed(client)
        assert bad.name not in names
        assert model_id in names
        lost(predict(client, bad.name), keeper, bad.name, "manifest.json")
        lost(client.get(f"/models/{bad.name}"), keeper, bad.name, "manifest.json")
        assert predict(client, model_id).status_code == 200


def scaled(name: str, by: float) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda arrays: {**arrays, name: (arrays[name] * by).astype(np.float32)}


def filled(name: str, value: float) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda arrays: {**arrays, name: np.full_like(arrays[name], value)}


def cut(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes()[:-100])
        forge_manifest(folder)

    return damage


def piece_samples(number: int) -> Callable[[Path], None]:
    return lambda folder: forge_manifest(folder, lambda content: content["frontend"].update(piece_samples=number))


FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "damaged npz": (cut(FRONTEND), FRONTEND),
    "damaged network": (cut(TFLITE), TFLITE),
    "nan": (lambda folder: forge_arrays(folder, FRONTEND, scaled("standardiser/mean", np.nan)), FRONTEND),
    "no samples": (piece_samples(0), FRONTEND),
    "samples of a year": (piece_samples(10**12), FRONTEND),
    "an overflow": (
        lambda folder: forge_arrays(folder, FRONTEND, filled("standardiser/inverse_deviation", 3e38)),
        TFLITE,
    ),
}


@pytest.mark.parametrize(("damage", "name"), FILES.values(), ids=FILES)
def test_a_bad_file_is_named(
    keeper: Server, bad: Path, model_id: str, damage: Callable[[Path], None], name: str
) -> None:
    damage(bad)
    with keeper.client() as client:
        lost(predict(client, bad.name), keeper, bad.name, name)
        assert predict(client, model_id).status_code == 200


def test_a_report_is_no_way_out(keeper: Server, bad: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    page = bad / "report" / "report.html"
    with keeper.client() as client:
        good = client.get(f"/models/{bad.name}/report")
        assert (good.status_code, good.content) == (200, page.read_bytes())
        page.write_bytes(good.content + b"<p>more</p>")
        lost(client.get(f"/models/{bad.name}/report"), keeper, f"{bad.name}/report/report.html was altered")
        page.unlink()
        page.symlink_to(tmp_path / "secret")
        lost(client.get(f"/models/{bad.name}/report"), keeper, f"{bad.name}/report/report.html")
        page.unlink()
        os.mkfifo(page)
        lost(client.get(f"/models/{bad.name}/report"), keeper, f"{bad.name}/report/report.html")
        shutil.rmtree(bad / "report")
        (tmp_path / "report.html").write_text("secret")
        (bad / "report").symlink_to(tmp_path)
        lost(client.get(f"/models/{bad.name}/report"), keeper, bad.name)
        (bad / "report").unlink()
        assert client.get(f"/models/{bad.name}/report").status_code == 404


def test_a_folder_that_is_a_link_is_no_way_out(keeper: Server, bundle: Bundle, model_id: str) -> None:
    outside = bundle.folder
    linked = keeper.models / "KerasClassifier-linklinklink"
    linked.symlink_to(outside)
    try:
        with keeper.client() as client:
            assert linked.name not in listed(client)
            lost(predict(client, linked.name), keeper, linked.name)
            lost(client.get(f"/models/{linked.name}/report"), keeper, linked.name)
            assert client.delete(f"/models/{linked.name}").status_code == 200
            assert outside.is_dir()  # the link went, not what it led to
            assert predict(client, model_id).status_code == 200
    finally:
        linked.unlink(missing_ok=True)


def run(command: str, *arguments: object) -> bool:
    """Runs a command of the system; whether it succeeded."""
    path = shutil.which(command)
    return path is not None and subprocess.run([path, *map(str, arguments)], capture_output=True).returncode == 0


@pytest.fixture
def mounted() -> Iterator[Callable[..., Path]]:
    """Mounts a small, empty file system in memory over a folder."""
    places: list[Path] = []

    def mount(place: Path, *options: str) -> Path:
        if not run("mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", place):
            pytest.skip("file systems cannot be mounted here")
        places.append(place)
        return place

    yield mount
    for place in places:
        assert run("umount", "-l", place)


def test_a_disk_that_is_read_only_is_named(adaptive: Bundle, tmp_path: Path, mounted: Callable[..., Path]) -> None:
    name = adaptive.manifest.model_id
    (tmp_path / "models").mkdir()
    models = mounted(tmp_path / "models", "size=64m")
    shutil.copytree(adaptive.folder, models / name)
    with serve(tmp_path, data_root=tmp_path / "data") as server, server.client() as client:
        enroll = {"files": [("clips", CLIP)], "data": {"speaker": "anna"}}
        assert client.post(f"/models/{name}/speakers", **enroll).status_code == 200
        assert run("mount", "-o", "remount,ro", models)
        for answer in (
            client.post(f"/models/{name}/speakers", **enroll),
            client.delete(f"/models/{name}/speakers/anna"),
            client.delete(f"/models/{name}"),
        ):
            body = answer.json()
            assert (answer.status_code, body["code"]) == (400, 9), body
            assert name in body["message"]
            assert body["message"].endswith("Read-only file system")
            assert str(models) not in body["message"]
        assert predict(client, name).status_code == 200
        assert run("mount", "-o", "remount,rw", models)
        assert client.delete(f"/models/{name}/speakers/anna").status_code == 200


def fill(path: Path) -> None:
    """Writes until there is no room."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(b"\0" * 65_536):
            pass


def test_a_disk_that_is_full_is_named(adaptive: Bundle, tmp_path: Path, mounted: Callable[..., Path]) -> None:
    name = adaptive.manifest.model_id
    (tmp_path / "models").mkdir()
    models = mounted(tmp_path / "models", "size=64m")
    shutil.copytree(adaptive.folder, models / name)
    with serve(tmp_path, data_root=tmp_path / "data") as server, server.client() as client:
        enroll = {"files": [("clips", CLIP)], "data": {"speaker": "anna"}}
        assert client.post(f"/models/{name}/speakers", **enroll).status_code == 200
        fill(models / "ballast")
        answer = client.post(f"/models/{name}/speakers", **enroll)
        body = answer.json()
        assert (answer.status_code, body["code"]) == (507, 8), body
        assert body["message"].startswith(f".speakers/{name}/")
        assert body["message"].endswith("anna.npz: No space left on device")
        (models / "ballast").unlink()
        answer = client.post(f"/models/{name}/speakers", **enroll)
        assert answer.json()["enrolled_clips"] == 2  # what was there before stayed whole
