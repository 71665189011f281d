"""What comes in wrong, and what is said of it: the same over both protocols."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import json_format

from ser.bundles.bundle import Bundle
from ser.errors import Code
from ser_api.v1 import ser_pb2
from ser_inference_server.failures import STATUSES
from tests.inference_server.harness import Server, fields_of, serve, status_of
from tests.signals import tone, wav

NAN = np.full(16_000, np.nan, dtype=np.float32)


def test_every_code_has_a_status_in_both_protocols() -> None:
    assert STATUSES.keys() == set(Code)
    assert all(grpc_status.name == code.name for code, (grpc_status, _) in STATUSES.items())


def over_http(server: Server, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    with server.client() as client:
        answer = client.post(path, json=body)
    assert answer.status_code == 200 or answer.headers["x-request-id"] in answer.text
    return answer.status_code, answer.json()


PREDICT = [
    ({"model_id": "m"}, 400, "audio"),
    ({"sample_name": "x"}, 400, "model_id"),
    ({"model_id": "m", "sample_name": "x", "audio": "AAAA"}, 400, "audio"),
    ({"model_id": "../secrets", "sample_name": "x"}, 400, "model_id"),
    ({"model_id": "a/b", "sample_name": "x"}, 400, "model_id"),
    ({"model_id": "none", "sample_name": "x"}, 404, ""),
    ({"model_id": "MODEL", "sample_name": "nobody.wav"}, 404, ""),
    ({"model_id": "MODEL", "sample_name": "../../manifest.json"}, 404, ""),
    ({"model_id": "MODEL", "sample_name": "x", "speaker": "03"}, 400, "speaker"),
    ({"model_id": "MODEL", "sample_name": "x", "model_save_path": "/etc"}, 403, ""),
    ({"model_id": "MODEL", "sample_name": "x", "model_save_path": "models/../../.."}, 403, ""),
    ({"model_id": "MODEL", "sample_name": "x", "model_save_path": "a\0b"}, 400, "model_save_path"),
]


@pytest.mark.parametrize(("body", "status", "field"), PREDICT)
def test_a_wrong_prediction(server: Server, model_id: str, body: dict[str, Any], status: int, field: str) -> None:
    body = {name: model_id if value == "MODEL" else value for name, value in body.items()}
    answered, error = over_http(server, "/predict", body)
    assert answered == status, error
    violations = [one for detail in error["details"] for one in detail.get("field_violations", [])]
    assert [one["field"] for one in violations] == ([field] if field else [])
    with server.stub() as stub, pytest.raises(grpc.RpcError) as failed:
        stub.Predict(json_format.ParseDict(body, ser_pb2.PredictRequest()))
    code: grpc.StatusCode = failed.value.code()  # type: ignore[attr-defined]
    assert code.value[0] == error["code"]
    said = status_of(failed.value)
    assert said.message == error["message"] == failed.value.details()  # type: ignore[attr-defined]
    assert list(fields_of(said)) == ([field] if field else [])


@pytest.mark.parametrize(
    ("audio", "says"),
    [
        (b"hello", "decoded"),
        (wav(tone())[:1000], "cut short"),
        (wav(np.zeros(16_000)), "silence"),
        (wav(NAN, subtype="FLOAT"), "NaN"),
        (wav(np.zeros(0)), "without any samples"),
    ],
)
def test_audio_that_cannot_be_used_names_its_field(server: Server, model_id: str, audio: bytes, says: str) -> None:
    with server.client() as client, server.stub() as stub:
        answer = client.post("/predict", files={"audio": audio}, data={"model_id": model_id})
        assert answer.status_code == 400
        violation = answer.json()["details"][0]["field_violations"][0]
        assert violation["field"] == "audio"
        assert says in violation["description"]
        clips = [ser_pb2.Clip(audio=wav(tone())), ser_pb2.Clip(audio=audio)]
        with pytest.raises(grpc.RpcError) as failed:
            stub.Predict(ser_pb2.PredictRequest(model_id=model_id, clips=clips))
    assert says in fields_of(status_of(failed.value))["clips[1].audio"]


def test_not_found_says_what_there_is(server: Server, model_id: str, sample: str) -> None:
    assert model_id in over_http(server, "/predict", {"model_id": "none", "sample_name": "x"})[1]["message"]
    message = over_http(server, "/predict", {"model_id": model_id, "sample_name": "x"})[1]["message"]
    assert "validation samples" in message
    assert sample in message
    with server.client() as client:
        assert client.get("/jobs/job-0").status_code == 404
        assert "/openapi.json" in client.get("/nothing").json()["message"]


TRAIN = [
    ({"random_state": -1}, "random_state"),
    ({"random_state": 1.5}, "random_state"),
    ({"dataset_force": "yes"}, "dataset_force"),
    ({"dataset_load_split_at": 0}, "dataset_load_split_at"),
    ({"dataset_load_split_at": "foo"}, "dataset_load_split_at"),
    ({"dataset_feature_extract_methods": {"CEPSTRUM": {}}}, "dataset_feature_extract_methods"),
    ({"dataset_feature_extract_methods": {"MFCC": {"colour": 1}}}, "dataset_feature_extract_methods.MFCC.colour"),
    ({"dataset_feature_extract_methods": {"MFCC": 1}}, "dataset_feature_extract_methods.MFCC"),
    ({"model_type": "Oracle"}, "model_type"),
    ({"model_config": {"epochs": 0}}, "model_config.epochs"),
    ({"model_config": {"epochs": "many"}}, "model_config.epochs"),
    ({"model_config": {"moment": 1}}, "model_config.moment"),
    ({"model_config": []}, "model_config"),
    ({"data_path": None}, "data_path"),
    ({"remote_url": "gopher://x/y.zip"}, "remote_url"),
    ({"epochs": 3}, "epochs"),
]


@pytest.mark.parametrize(("fields", "field"), TRAIN, ids=[str(field) for field, _ in TRAIN])
def test_a_wrong_training_names_its_field_and_starts_nothing(
    server: Server, fields: dict[str, Any], field: str
) -> None:
    for path in ("/train", "/jobs"):
        status, error = over_http(server, path, server.request(**fields))
        assert status == 400, error
        assert [one["field"] for one in error["details"][0]["field_violations"]] == [field]
    with server.client() as client:
        assert client.get("/jobs").json()["jobs"] == []


def test_unknown_names_list_the_known(server: Server) -> None:
    def message(**fields: Any) -> str:
        return str(over_http(server, "/train", server.request(**fields))[1]["message"])

    assert "KerasDropoutClassifier" in message(model_type="Oracle")
    assert "SpeakerAndGenderAndTextType" in message(dataset_feature_extract_methods={"CEPSTRUM": {}})
    assert "batch_size" in message(model_config={"moment": 1})
    assert "dataset_load_split_at" in message(epochs=3)


def test_every_wrong_field_is_named_at_once(server: Server) -> None:
    _, error = over_http(server, "/train", {"epochs": 3, "dataset_force": 1, "random_state": "x"})
    fields = {one["field"] for one in error["details"][0]["field_violations"]}
    assert fields == {"epochs", "dataset_force", "random_state"}


@pytest.mark.parametrize(
    ("field", "value"),
    [("data_path", "/etc"), ("model_save_path", "../../elsewhere"), ("remote_url", "http://127.0.0.1/x.zip"),
     ("remote_url", "http://[::1]/x.zip"), ("remote_url", "http://169.254.169.254/latest/meta-data"),
     ("remote_url", "http://localhost:9/x.zip"), ("remote_url", "http://0x7f000001/x.zip"),
     ("remote_url", "http://[::ffff:10.0.0.1]/x.zip"), ("remote_url", "file:///etc/passwd"),
     ("remote_url", "/etc/passwd")],
)  # fmt: skip
def test_paths_and_addresses_that_are_not_allowed(server: Server, field: str, value: str) -> None:
    status, error = over_http(server, "/train", server.request(**{field: value}))
    assert (status, error["code"]) == (403, 7), error
    assert error["message"].startswith(f"{field}: ")
    with server.stub() as stub, pytest.raises(grpc.RpcError) as failed:
        stub.StartTraining(json_format.ParseDict(server.request(**{field: value}), ser_pb2.TrainRequest()))
    assert failed.value.code() is grpc.StatusCode.PERMISSION_DENIED  # type: ignore[attr-defined]


def test_a_link_out_of_the_root_is_refused(server: Server, tmp_path: Path) -> None:
    link = server.models / "way-out"
    link.symlink_to(tmp_path)
    try:
        body = {"model_save_path": str(link), "model_id": "x", "sample_name": "y"}
        assert over_http(server, "/predict", body)[0] == 403
    finally:
        link.unlink()


def test_a_damaged_model_names_the_file_and_heals_when_the_file_does(
    bundle: Bundle, tmp_path: Path, sample: str
) -> None:
    model_id = bundle.manifest.model_id
    folder = tmp_path / "models" / model_id
    shutil.copytree(bundle.folder, folder)
    body = {"model_id": model_id, "sample_name": sample}
    with serve(tmp_path) as server:
        assert over_http(server, "/predict", body)[0] == 200
        for name in ("model.tflite", "frontend.npz", "validation.npz", "manifest.json"):
            content = (folder / name).read_bytes()
            for damaged in (content[: len(content) // 2], b"", None):
                (folder / name).unlink()
                if damaged is not None:
                    (folder / name).write_bytes(damaged)
                status, error = over_http(server, "/predict", body)
                assert (status, error.get("code")) == (500, 15), (name, damaged, error)
                assert name in error["message"]
                (folder / name).write_bytes(content)
            assert over_http(server, "/predict", body)[0] == 200


def test_a_deleted_model_is_gone(bundle: Bundle, tmp_path: Path, sample: str) -> None:
    model_id = bundle.manifest.model_id
    shutil.copytree(bundle.folder, tmp_path / "models" / model_id)
    with serve(tmp_path) as server, server.client() as client:
        body = {"model_id": model_id, "sample_name": sample}
        assert client.post("/predict", json=body).status_code == 200
        assert client.delete(f"/models/{model_id}").json() == {"model_id": model_id}
        assert client.post("/predict", json=body).status_code == 404
        assert client.delete(f"/models/{model_id}").status_code == 404
        assert client.get("/models").json() == {"models": []}


def test_the_request_id_of_the_caller_comes_back_and_is_logged(server: Server, model_id: str, sample: str) -> None:
    body = {"model_id": model_id, "sample_name": sample}
    with server.client() as client, server.stub() as stub:
        answer = client.post("/predict", json=body, headers={"x-request-id": "mine-1"})
        assert answer.headers["x-request-id"] == "mine-1"
        odd = client.post("/predict", json=body, headers={"x-request-id": "a b"})
        assert " " not in odd.headers["x-request-id"]
        _, call = stub.Predict.with_call(ser_pb2.PredictRequest(**body), metadata=[("x-request-id", "mine-2")])
        assert dict(call.trailing_metadata())["x-request-id"] == "mine-2"
    logged = {line.get("request_id"): line for line in server.logged()}
    assert logged["mine-1"]["protocol"] == "http"
    assert logged["mine-2"]["protocol"] == "grpc"
    assert logged["mine-1"]["code"] == "OK"
    assert logged["mine-1"]["model_id"] == model_id


def test_a_binary_message_that_is_cut_short_or_has_unknown_fields(server: Server, model_id: str) -> None:
    whole = ser_pb2.PredictRequest(model_id=model_id, audio=b"x" * 100).SerializeToString()
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary("/ser.v1.SpeechEmotionRecognition/Predict")
        for data, says in ((whole[:-5], "PredictRequest"), (whole + b"\xb8\x3e\x01", "#999")):
            with pytest.raises(grpc.RpcError) as failed:
                call(data)
            assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]
            assert says in failed.value.details()  # type: ignore[attr-defined]


def test_errors_are_json_whatever_was_sent(server: Server) -> None:
    form = "application/x-www-form-urlencoded"
    with server.client() as client:
        answers = [
            client.post("/predict", content=b"{"),
            client.post("/predict", content=b"[" * 9_000),
            client.post("/predict", content=b"[" * 100_000),
            client.post("/predict", content=b"a=&" * 2_000, headers={"content-type": form}),
            client.post("/predict", content=b'{"model_id": NaN}'),
            client.post("/predict", content=b"\xff\xfe", headers={"content-type": "application/json"}),
            client.post("/predict", content=b"x", headers={"content-type": "text/plain"}),
            client.post("/predict", content=b"x", headers={"content-type": "multipart/form-data"}),
            client.get("/predict"),
            client.get("/predict/stream"),
            client.get("/models", params={"colour": "red"}),
            client.get("/jobs", params={"page_size": "many"}),
            client.get("/jobs", params={"page_size": "0"}),
            client.get("/jobs", params={"page_token": "x"}),
        ]
    assert [answer.status_code for answer in answers] == [
        *(400, 400, 413, 413, 400, 400, 415, 400, 405, 426, 400, 400, 400, 400)
    ]
    for answer in answers:
        assert json.loads(answer.content)["message"]
