"""Every field of what is asked for: a value that is not the default, and what comes of it, over HTTP and over gRPC."""

from __future__ import annotations

import shutil
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from ser.bundles.bundle import Bundle
from ser.config import parse
from ser.features import About
from ser.predictor import Predictor
from ser.request import TrainRequest
from ser_api.v1 import ser_pb2
from tests.inference_server.harness import Server, serve
from tests.signals import tone, wav

TRAIN: dict[str, Any] = {
    "data_path": "elsewhere",
    "remote_url": "embedded:?clips=71",
    "random_state": 7,
    "dataset_force": True,
    "dataset_load_split_at": "16001",
    "dataset_load_normalize": False,
    "dataset_feature_extract_methods": {"MFCC": {"num_cepstral": 12}},
    "model_type": "KerasDropoutClassifier",
    "model_save_path": "other-models",
    "model_config": {"epochs": 3, "dropout": 0.4},
    "dataset_virtual_speakers": 2,
}
"""Of each field of a training, a value that no default has."""


@pytest.fixture(scope="module")
def asked(adaptive: Bundle, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two models, one of them in another folder; jobs wait for ever there."""
    folder = tmp_path_factory.mktemp("fields")
    shutil.copytree(adaptive.folder, folder / "models" / adaptive.manifest.model_id)
    shutil.copytree(bundle.folder, folder / "models" / "deeper" / bundle.manifest.model_id)
    with serve(folder, training_slots=0) as server:
        yield server


def test_every_field_of_a_training_reaches_the_job(asked: Server) -> None:
    fields = {field.name for field in ser_pb2.TrainRequest.DESCRIPTOR.fields}
    assert fields == TRAIN.keys() | {"detach"}  # which says who waits: `test_training.py`
    usual = parse(
        TrainRequest, {name: TRAIN[name] for name in ("data_path", "remote_url", "model_type", "model_save_path")}
    )
    for name in TRAIN.keys() - {"data_path", "remote_url", "model_type", "model_save_path", "model_config"}:
        assert getattr(usual, name) != TRAIN[name], name
    with asked.client() as client, asked.stub() as stub:
        over_http = client.post("/jobs", json=TRAIN).raise_for_status().json()["request"]
        message = stub.StartTraining(json_format.ParseDict(TRAIN, ser_pb2.TrainRequest())).request
        over_grpc = json_format.MessageToDict(message, preserving_proto_field_name=True)
    for answer in (over_http, over_grpc):
        found = {name: answer[name] for name in TRAIN}
        assert found.pop("dataset_load_split_at") in ("16001", 16_001)
        methods = found.pop("dataset_feature_extract_methods")
        assert methods.keys() == {"MFCC"}
        assert methods["MFCC"]["num_cepstral"] == 12
        assert found.pop("model_config").items() >= {"epochs": 3, "dropout": 0.4}.items()
        for name in ("data_path", "model_save_path"):
            assert Path(found.pop(name)).name == TRAIN[name]
        assert found == {name: TRAIN[name] for name in found}


CLIP, OTHER = wav(tone(2.0, hertz=220)), wav(tone(2.5, hertz=500))


def predict(server: Server, **fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same over HTTP and over gRPC."""

    def plain(value: Any) -> Any:
        if isinstance(value, bytes):
            return b64encode(value).decode()
        if isinstance(value, list):
            return [plain(one) for one in value]
        return {name: plain(one) for name, one in value.items()} if isinstance(value, dict) else value

    body = plain(fields)
    with server.client() as client, server.stub() as stub:
        over_http = client.post("/predict", json=body).raise_for_status().json()
        message = stub.Predict(json_format.ParseDict(body, ser_pb2.PredictRequest()))
    over_grpc = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return over_http, over_grpc


def same(asked: Server, expected: dict[str, float], **fields: Any) -> list[dict[str, Any]]:
    answers = list(predict(asked, **fields))
    for answer in answers:
        assert answer["probabilities"] == pytest.approx(expected, abs=1e-5)
    return answers


def test_every_field_of_a_prediction_does_something(asked: Server, adaptive: Bundle, bundle: Bundle) -> None:
    known = {
        "model_save_path", "model_id", "sample_name", "audio", "speaker", "gender", "text", "clips",
        "uncertain_below", "enrollment_clips", "adapt",
    }  # fmt: skip
    assert {field.name for field in ser_pb2.PredictRequest.DESCRIPTOR.fields} == known
    assert {field.name for field in ser_pb2.Clip.DESCRIPTOR.fields} == {"name", "audio", "speaker", "gender", "text"}
    there = Predictor(bundle.folder.parent, bundle.manifest.model_id)
    deeper = {"model_save_path": "deeper", "model_id": bundle.manifest.model_id}
    # Who speaks and what is said, which the model has learnt as one-hots.
    about = bundle.validation.samples[0].about
    plain = there.predict(CLIP).probabilities
    same(asked, plain, **deeper, audio=CLIP)
    for name in ("speaker", "gender", "text"):
        value = getattr(about, name)
        expected = there.predict(CLIP, about=About(**{name: value})).probabilities
        assert expected != pytest.approx(plain, abs=1e-4), name
        for answer in same(asked, expected, **deeper, audio=CLIP, **{name: value}):
            assert name not in answer["unknown"]
        clips = predict(asked, **deeper, clips=[{"audio": CLIP, "name": "mine", name: value}, {"audio": OTHER}])
        for reply in clips:
            assert [clip["name"] for clip in reply["predictions"]] == ["mine", "clips[1].audio"]
            assert reply["predictions"][0]["probabilities"] == pytest.approx(expected, abs=1e-5)
            assert reply["predictions"][1]["probabilities"] == pytest.approx(
                there.predict(OTHER).probabilities, abs=1e-5
            )
    sample = bundle.validation.samples[-1]
    for answer in same(asked, there.predict_sample(sample.name).probabilities, **deeper, sample_name=sample.name):
        assert (answer["sample_name"], answer["ground_truth"]) == (sample.name, sample.emotion)
    surest = max(plain.values())
    for below, uncertain in ((surest - 1e-3, False), (min(1.0, surest + 1e-3), True)):
        for answer in predict(asked, **deeper, audio=CLIP, uncertain_below=below):
            assert (answer["prediction"] == "uncertain") is uncertain
    # Clips of the same voice, to a model that adapts to it.
    here = Predictor(adaptive.folder.parent, adaptive.manifest.model_id)
    adapted = here.predict(CLIP, enrollment_clips=[OTHER, OTHER]).probabilities
    assert adapted != pytest.approx(here.predict(CLIP).probabilities, abs=1e-4)
    model_id = adaptive.manifest.model_id
    for answer in same(asked, adapted, model_id=model_id, audio=CLIP, enrollment_clips=[OTHER, OTHER]):
        assert answer["speaker_clips"] == 2
    # To all clips together, and to what came along.
    both = here.predict(CLIP, enrollment_clips=[CLIP, OTHER]).probabilities
    assert both != pytest.approx(adapted, abs=1e-4)
    clips = [{"audio": CLIP}, {"audio": OTHER}]
    for reply in predict(asked, model_id=model_id, clips=clips, adapt=True):
        assert reply["predictions"][0]["probabilities"] == pytest.approx(both, abs=1e-5)
        assert [clip["speaker_clips"] for clip in reply["predictions"]] == [2, 2]
    for reply in predict(asked, model_id=model_id, clips=clips, adapt=True, enrollment_clips=[OTHER]):
        assert [clip["speaker_clips"] for clip in reply["predictions"]] == [3, 3]
