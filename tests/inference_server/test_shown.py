"""What the server shows of itself: neither where its folders lie, nor the passwords of those who train with it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import grpc
import pytest

from ser.errors import ConfigError, FieldViolation, NotFoundError
from ser_api.v1 import ser_pb2
from ser_inference_server.roots import Roots
from ser_inference_server.settings import Settings
from tests.inference_server.harness import Server, fields_of, serve, status_of


def test_a_message_names_places_from_the_roots(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    settings = Settings(model_root=str(tmp_path / "srv" / "models"), data_root=str(tmp_path / "link" / "srv"))
    roots = Roots(settings)
    root = f"{tmp_path}/srv"
    for text, shown in {
        f"no model 'x' in {root}/models; there is: none": "no model 'x' in the model root; there is: none",
        f"{root}/models/a/manifest.json was altered": "a/manifest.json was altered",
        f"'{root}/models//a'": "'a'",
        f"[Errno 13] Permission denied: '{root}/emodb/wav'": "[Errno 13] Permission denied: 'emodb/wav'",
        f"{tmp_path}/link/srv/emodb": "emodb",
        f"in {root}": "in the data root",
        f"{root}/.server/jobs.sqlite": "jobs.sqlite",
        f"{root}/models2/a and {root}-2/b": f"models2/a and {root}-2/b",
        f"/elsewhere{root}/a": f"/elsewhere{root}/a",
        "nothing": "nothing",
    }.items():
        assert roots.without(text) == shown


def test_an_error_is_hidden_whole(tmp_path: Path) -> None:
    roots = Roots(Settings(model_root=str(tmp_path / "models"), data_root=str(tmp_path / "data")))
    wrong = ConfigError([FieldViolation("a", f"in {tmp_path}/data/x"), FieldViolation("b", "c")])
    roots.hide_in(wrong)
    assert str(wrong) == "a: in x; b: c"
    assert [one.description for one in wrong.violations] == ["in x", "c"]
    missing = NotFoundError(f"no {tmp_path}/models/m")
    roots.hide_in(missing)
    assert str(missing) == "no m"


def test_a_place_is_shown_as_it_can_be_named_again(tmp_path: Path) -> None:
    settings = Settings(model_root="s3://bucket/models", data_root=str(tmp_path / "data"))
    roots = Roots(settings)
    assert roots.shown(settings.data_root, str(tmp_path / "data")) == "."
    assert roots.shown(settings.data_root, str(tmp_path / "data" / "a" / "b")) == "a/b"
    assert roots.shown(settings.model_root, "s3://bucket/models") == "."
    assert roots.shown(settings.model_root, "s3://bucket/models/team") == "team"
    assert roots.shown(settings.data_root, str(tmp_path / "moved" / "c")) == "c"


def test_no_answer_tells_where_the_roots_lie(server: Server, model_id: str) -> None:
    root = str(server.models.parent)
    with server.client() as client, server.stub() as stub:
        answers = [
            client.post("/predict", json={"model_id": "none", "sample_name": "x"}),
            client.post("/predict", json={"model_id": "none", "sample_name": "x", "model_save_path": "sub"}),
            client.get("/models/none"),
            client.get("/models/none/report"),
            client.delete("/models/none"),
            client.get("/models/none/speakers"),
            client.post("/train", json=server.request(data_path="../..")),
            client.get(f"/models/{model_id}"),
            client.get("/models"),
            client.get("/metrics"),
        ]
        with pytest.raises(grpc.RpcError) as failed:
            stub.GetModel(ser_pb2.GetModelRequest(model_id="none"))
    assert "in the model root" in answers[0].json()["message"]
    assert model_id in answers[0].json()["message"]
    assert "the model root" in failed.value.details()  # type: ignore[attr-defined]
    for answer in answers:
        assert root not in answer.text, answer.request.url


def ended(client: Any, job_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        job: dict[str, Any] = client.get(f"/jobs/{job_id}").json()
        if job["state"] in ("FAILED", "SUCCEEDED"):
            return job
        time.sleep(0.1)
    raise AssertionError("the job did not end")


def test_a_job_shows_neither_a_password_nor_a_root(tmp_path: Path) -> None:
    with serve(tmp_path, allowed_hosts="127.0.0.1") as server, server.client() as client, server.stub() as stub:
        url = "http://user:secret@127.0.0.1:9/corpus.zip?token=secret&part=secret"
        order = server.request(remote_url=url, data_path=str(server.data / "corpus"))
        started = client.post("/jobs", json=order)
        job_id = started.json()["job_id"]
        assert started.json()["request"]["remote_url"] == "http://127.0.0.1:9/corpus.zip?token=…&part=…"
        assert started.json()["request"]["data_path"] == "corpus"
        assert started.json()["request"]["model_save_path"] == "."
        job = ended(client, job_id)
        assert job["state"] == "FAILED"
        shown = [
            started.text,
            str(job),
            client.get("/jobs").text,
            client.get(f"/jobs/{job_id}:watch").text,
            client.post("/train", json=order | {"remote_url": url.replace("http", "ftp")}).text,
            client.post("/train", json=order | {"remote_url": "http://user:sec/secret@127.0.0.1/"}).text,
            client.post("/train", json=order | {"remote_url": "http://user:secret@10.0.0.1/?secret"}).text,
            str(stub.GetTrainingJob(ser_pb2.GetTrainingJobRequest(job_id=job_id))),
            str(list(stub.WatchTrainingJob(ser_pb2.WatchTrainingJobRequest(job_id=job_id)))),
        ]
        (server.data / "taken").write_text("no folder")
        broken = client.post("/jobs", json=server.request(data_path="taken/corpus")).json()
        shown.append(str(ended(client, broken["job_id"])))
        for text in shown:
            assert "secret" not in text
            assert str(tmp_path) not in text
    assert "secret" not in server.log.read_text()


EMPTY = [
    ("POST", "/predict", ["audio", "model_id"]),
    ("POST", "/jobs", ["data_path", "model_save_path", "model_type", "remote_url"]),
    ("POST", "/models/m/speakers", ["clips", "speaker"]),
]


@pytest.mark.parametrize(("verb", "path", "fields"), EMPTY)
def test_an_empty_request_is_told_of_all_that_is_missing(
    server: Server, verb: str, path: str, fields: list[str]
) -> None:
    with server.client() as client:
        answer = client.request(verb, path, json={})
    named = [one["field"] for detail in answer.json()["details"] for one in detail.get("field_violations", [])]
    assert sorted(named) == fields


@pytest.mark.parametrize(
    ("rpc", "request_", "fields"),
    [
        ("Predict", ser_pb2.PredictRequest(), {"audio", "model_id"}),
        (
            "Predict",
            ser_pb2.PredictRequest(
                model_id="../x", sample_name="s", speaker="a", gender="m", text="t", enrollment_clips=[b"x"],
                uncertain_below=2,
            ),
            {"model_id", "speaker", "gender", "text", "enrollment_clips", "uncertain_below"},
        ),
        (
            "Predict",
            ser_pb2.PredictRequest(sample_name="s", audio=b"x", uncertain_below=-1),
            {"model_id", "audio", "uncertain_below"},
        ),
        ("StartTraining", ser_pb2.TrainRequest(), {"data_path", "remote_url", "model_type", "model_save_path"}),
        (
            "Train",
            ser_pb2.TrainRequest(data_path="a\0", remote_url="gopher://x", model_type="Oracle", model_save_path="b\0"),
            {"data_path", "remote_url", "model_type", "model_save_path"},
        ),
        ("GetTrainingJob", ser_pb2.GetTrainingJobRequest(), {"job_id"}),
        ("CancelTrainingJob", ser_pb2.CancelTrainingJobRequest(), {"job_id"}),
        ("ListTrainingJobs", ser_pb2.ListTrainingJobsRequest(page_size=0, page_token="x"), {"page_size", "page_token"}),
        ("GetModel", ser_pb2.GetModelRequest(), {"model_id"}),
        ("DeleteModel", ser_pb2.DeleteModelRequest(model_id=".."), {"model_id"}),
        ("GetReport", ser_pb2.GetReportRequest(model_id="a/b"), {"model_id"}),
        ("EnrollSpeaker", ser_pb2.EnrollSpeakerRequest(), {"model_id", "speaker", "clips"}),
        ("EnrollSpeaker", ser_pb2.EnrollSpeakerRequest(model_id="..", speaker="/"), {"model_id", "speaker", "clips"}),
        ("ListSpeakers", ser_pb2.ListSpeakersRequest(page_size=1_001), {"model_id", "page_size"}),
        ("DeleteSpeaker", ser_pb2.DeleteSpeakerRequest(), {"model_id", "speaker"}),
    ],
)  # fmt: skip
def test_every_wrong_field_is_named_at_once(server: Server, rpc: str, request_: Any, fields: set[str]) -> None:
    with server.stub() as stub, pytest.raises(grpc.RpcError) as failed:
        getattr(stub, rpc)(request_, timeout=20)
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]
    assert fields_of(status_of(failed.value)).keys() == fields


def test_a_stream_is_told_of_every_wrong_field_of_its_configuration(server: Server) -> None:
    config = ser_pb2.StreamConfig(sample_rate_hz=-1, hop_seconds=-1)
    with server.stub() as stub, pytest.raises(grpc.RpcError) as failed:
        list(stub.StreamPredict(iter([ser_pb2.StreamPredictRequest(config=config)]), timeout=20))
    found = fields_of(status_of(failed.value)).keys()
    assert found == {"config.model_id", "config.sample_rate_hz", "config.hop_seconds"}
