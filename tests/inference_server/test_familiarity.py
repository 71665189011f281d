"""How familiar a recording is: every front door says what the library says, and nothing of a model that tells none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import ser
from ser.bundles.bundle import Bundle
from ser.cli.main import app
from ser.predictor import Predictor
from ser_api.v1 import ser_pb2
from ser_client import Client, Recording
from tests.inference_server.harness import serve

TOLD = Path(__file__).parents[1] / "bundles" / "format-3"


def test_every_answer_says_how_familiar_the_recording_is(bundle: Bundle, tmp_path: Path) -> None:
    tells = next(iter(json.loads((TOLD / "expected.json").read_text())))
    shutil.copytree(TOLD / tells, tmp_path / "models" / tells)
    silent = bundle.manifest.model_id
    shutil.copytree(bundle.folder, tmp_path / "models" / silent)
    clip = TOLD / "clip.wav"
    audio = clip.read_bytes()
    predictor = Predictor(tmp_path / "models", tells)
    expected = predictor.predict(clip).familiarity
    assert expected is not None
    assert 0 < expected < 1
    close = pytest.approx(expected, abs=1e-5)
    pcm = (ser.audio.recordings.read(clip, max_seconds=60).samples * 32_768).astype("<i2").tobytes()
    with serve(tmp_path) as server, server.client() as client, server.stub() as stub:
        for model_id, found in ((tells, close), (silent, None)):
            assert (
                client.post("/predict", files={"audio": audio}, data={"model_id": model_id}).json().get("familiarity")
                == found
            )
            clips = client.post("/predict", files=[("clips", audio)], data={"model_id": model_id}).json()
            assert clips["predictions"][0].get("familiarity") == found
            config = ser_pb2.StreamConfig(model_id=model_id, window_seconds=60, hop_seconds=60)
            requests = [ser_pb2.StreamPredictRequest(config=config), ser_pb2.StreamPredictRequest(pcm=pcm)]
            (window,) = stub.StreamPredict(iter(requests), timeout=60)
            assert (window.familiarity if window.HasField("familiarity") else None) == (
                found if found is None else pytest.approx(expected, abs=1e-3)  # sixteen bits a sample
            )
            with Client(server.grpc) as caller:
                assert caller.predict(clip, model_id=model_id).familiarity == found
                assert caller.predict_many([Recording(clip)], model_id=model_id)[0].familiarity == found
            where = ["--model-save-path", str(server.models), "--model-id", model_id]
            shown = CliRunner().invoke(app, ["predict", str(clip), *where]).stdout
            assert ("familiarity" in shown) == (found is not None)
    told, untold = predictor.predict(clip), Predictor(tmp_path / "models", silent).predict(clip)
    assert told.to_dict()["familiarity"] == close
    assert "familiarity" not in untold.to_dict()
    table = ser.predictor.to_data_frame([told, untold])
    assert table["familiarity"].isna().tolist() == [False, True]
