"""The server over a model store and data in S3: the real protocol, on loopback."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ser.bundles.bundle import Bundle
from ser.bundles.manifest import MANIFEST
from ser.bundles.model_store import list_models, save_bundle
from tests.deadlines import tries
from tests.inference_server.harness import Server, serve
from tests.object_store import put, s3_bucket, s3_endpoint
from tests.signals import tone, wav

__all__ = ["s3_bucket", "s3_endpoint"]


@pytest.fixture
def bucket(s3_bucket: str) -> str:
    return s3_bucket


@pytest.fixture
def store_server(bucket: str, tmp_path: Path) -> Iterator[Server]:
    places = {"model_root": f"{bucket}/models", "data_root": f"{bucket}/data", "state_root": tmp_path / "state"}
    with serve(tmp_path / "server", refresh_seconds=0.1, **places) as server:
        yield server


def predict(server: Server, model_id: str, **more: str) -> tuple[int, dict[str, object]]:
    with server.client() as client:
        answer = client.post("/predict", files={"audio": wav(tone())}, data={"model_id": model_id, **more})
        return answer.status_code, answer.json()


def test_models_are_served_listed_reloaded_and_deleted(
    store_server: Server, bucket: str, bundle: Bundle, tmp_path: Path
) -> None:
    model_id = bundle.manifest.model_id
    status, error = predict(store_server, model_id)
    assert status == 404
    assert f"no model '{model_id}' in {bucket}/models; there is: none" in str(error["message"])
    save_bundle(bundle.folder, bundle.report, f"{bucket}/models")
    status, before = predict(store_server, model_id)
    assert status == 200
    with store_server.client() as client:
        assert [one["model_id"] for one in client.get("/models").json()["models"]] == [model_id]
        assert "<html" in client.get(f"/models/{model_id}/report").text

    # The same name, trained again: another manifest is another version.
    changed = tmp_path / "changed" / model_id
    shutil.copytree(bundle.folder, changed)
    bundle.manifest.model_copy(update={"classes": tuple(f"x-{name}" for name in bundle.manifest.classes)}).save(changed)
    put(bucket, f"models/{model_id}/{MANIFEST}", (changed / MANIFEST).read_bytes())
    prediction = before["prediction"]
    for _ in tries():
        prediction = predict(store_server, model_id)[1]["prediction"]
        if prediction != before["prediction"]:
            break
    assert prediction == f"x-{before['prediction']}"

    with store_server.client() as client:
        assert client.delete(f"/models/{model_id}").status_code == 200
    assert predict(store_server, model_id)[0] == 404
    assert list_models(f"{bucket}/models") == []


def test_a_training_ends_in_the_store(store_server: Server, bucket: str) -> None:
    body = {
        "data_path": "corpora", "remote_url": "embedded:?clips=30", "model_type": "KerasClassifier",
        "model_save_path": f"{bucket}/models/team", "model_config": {"epochs": 2},
    }  # fmt: skip
    with store_server.client() as client:
        answer = client.post("/train", json=body)
        assert answer.status_code == 200, answer.text
        model_id = answer.json()["model_id"]
    assert list_models(f"{bucket}/models/team") == [model_id]
    assert predict(store_server, model_id, model_save_path="team")[0] == 200
    assert predict(store_server, model_id)[0] == 404


@pytest.mark.parametrize("path", ["s3://another/models", "../other", "/etc", "team/../../other", "s3:/x/../../.."])
def test_what_leads_out_of_the_store_is_refused(store_server: Server, path: str) -> None:
    status, error = predict(store_server, "any", model_save_path=path)
    assert (status, error["code"]) == (403, 7), error
