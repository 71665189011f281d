"""A model that needs an encoder, on a machine that has none: each front door says in a line what brings it.

Nothing is fetched before, and no other model type is trained in its stead.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from typer.testing import CliRunner

import ser
from ser.cli.main import app
from ser.config import parse
from ser.encoders import MissingEncoderError
from ser.encoders.storage import ROOT_VARIABLE
from ser.errors import SerError
from ser.request import FeatureConfig, TrainRequest
from ser_api.v1 import ser_pb2
from tests.inference_server.harness import serve, status_of

COMMAND = "get it with: ser encoder fetch whisper-base (145 MB)"
CORPUS = "nowhere.zip"
"""Whoever fetched first would miss this one."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, of a machine without encoders."""
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path / "encoders"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.mark.parametrize(
    "command",
    [
        ("train",),
        ("evaluate", "--protocol", "loso"),
        ("pipeline", "run", "--pipeline-root", "../runs"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_a_command_says_what_brings_it(command: tuple[str, ...], folder: Path) -> None:
    ended = CliRunner().invoke(app, [*command, "--remote-url", "embedded:?clips=20"])
    assert isinstance(ended.exception, SerError)
    assert ended.exception.code.name == "FAILED_PRECONDITION"
    assert str(ended.exception) == f"the encoder whisper-base is not in {folder.parent}/encoders; {COMMAND}"
    assert list(folder.iterdir()) == []


def request() -> TrainRequest:
    body = {"data_path": "data", "remote_url": CORPUS, "model_type": "EncoderClassifier", "model_save_path": "models"}
    return parse(TrainRequest, body)


@pytest.mark.parametrize(
    "ask",
    [
        lambda _: ser.run(request()),
        lambda dataset: dataset.features_for("EncoderClassifier"),
        lambda dataset: dataset.features_for("EnsembleClassifier"),
        lambda dataset: dataset.features_of(request()),
        lambda dataset: dataset.feature_extract({"SpeechEncoder": {}}),
    ],
    ids=["run", "features_for", "features_for the ensemble", "features_of", "feature_extract"],
)
def test_the_library_says_what_brings_it(ask: Callable[[ser.Dataset], object], folder: Path) -> None:
    dataset = ser.Dataset("data", CORPUS)
    dataset._config = parse(FeatureConfig, {"dataset_load_split_at": "max"})  # `load` would fetch it
    with pytest.raises(MissingEncoderError, match=r"ser encoder fetch whisper-base \(145 MB\)"):
        ask(dataset)
    assert list(folder.iterdir()) == []


def test_a_server_that_trains_says_what_brings_it_and_not_where_it_would_lie(tmp_path: Path) -> None:
    expected = f"the encoder whisper-base is not in the encoder root; {COMMAND}"
    with serve(tmp_path / "server", encoder_root=tmp_path / "encoders") as server, server.client() as client:
        body = server.request(model_type="EncoderClassifier", model_config={})
        for path in ("/train", "/jobs"):
            answer = client.post(path, json=body)
            assert answer.status_code == 400
            assert answer.json()["message"] == expected
        assert client.get("/jobs").json().get("jobs", []) == []
        asked = ser_pb2.TrainRequest(
            data_path="data", remote_url="embedded:", model_type="EncoderClassifier", model_save_path="models"
        )
        with server.stub() as stub, pytest.raises(grpc.RpcError) as refused:
            stub.StartTraining(asked)
        assert status_of(refused.value).message == expected
        assert [path.name for path in server.data.iterdir()] == [".server"]


def test_a_server_whose_trainings_run_elsewhere_leaves_the_encoder_to_them(tmp_path: Path) -> None:
    with serve(tmp_path / "server", encoder_root=tmp_path / "encoders", training_slots=0) as server:
        body = server.request(model_type="EncoderClassifier", model_config={})
        with server.client() as client:
            assert client.post("/jobs", json=body).raise_for_status().json()["state"] == "QUEUED"
