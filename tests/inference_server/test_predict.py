"""Prediction over both protocols: equal to the library and to Keras, whatever way the recording comes."""

from __future__ import annotations

import base64
import io
import json

import httpx
import numpy as np
import pytest
import soundfile

from ser.bundles.bundle import Bundle
from ser.bundles.manifest import KERAS
from ser.features import About
from ser.predictor import Predictor
from ser_api.v1 import ser_pb2
from tests.inference_server.harness import Server
from tests.signals import tone, wav


def close(one: dict[str, float], other: dict[str, float], tolerance: float = 1e-4) -> bool:
    return one.keys() == other.keys() and all(abs(one[label] - other[label]) <= tolerance for label in one)


@pytest.fixture(scope="module")
def predictor(bundle: Bundle) -> Predictor:
    return Predictor(bundle.folder.parent, bundle.manifest.model_id)


def test_every_validation_sample_is_what_the_library_and_keras_say(
    server: Server, bundle: Bundle, predictor: Predictor
) -> None:
    import keras

    network = keras.saving.load_model(bundle.folder / KERAS, compile=False)
    with server.client() as client, server.stub() as stub:
        for name in bundle.manifest.validation_samples:
            body = {"model_save_path": str(server.models), "model_id": bundle.manifest.model_id, "sample_name": name}
            answer = client.post("/predict", json=body).raise_for_status().json()
            ours = predictor.predict_sample(name)
            assert answer["sample_name"] == name
            assert answer["ground_truth"] == ours.ground_truth
            assert answer["prediction"] == ours.prediction
            assert close(answer["probabilities"], ours.probabilities)
            assert close(dict(stub.Predict(ser_pb2.PredictRequest(**body)).probabilities), ours.probabilities)
            rows = bundle.standardiser(bundle.validation.select([name]).rows)
            theirs = network(rows, training=False).numpy().mean(axis=0)
            assert close(answer["probabilities"], dict(zip(bundle.manifest.classes, map(float, theirs), strict=True)))


def test_a_recording_comes_in_many_ways_and_means_the_same(
    server: Server, model_id: str, recording: bytes, predictor: Predictor
) -> None:
    expected = predictor.predict(recording).probabilities
    encoded = base64.b64encode(recording).decode()
    with server.client() as client, server.stub() as stub:
        answers = [
            client.post("/predict", json={"model_id": model_id, "audio": encoded}),
            client.post("/predict", files={"audio": ("clip.wav", recording)}, data={"model_id": model_id}),
            client.post(
                "/predict", params={"model_id": model_id}, content=recording, headers={"content-type": "audio/wav"}
            ),
            client.post(
                "/predict",
                content=json.dumps({"modelId": model_id, "audio": encoded}),
                headers={"content-type": "application/x-www-form-urlencoded"},  # as curl -d says
            ),
        ]
        for answer in answers:
            assert answer.status_code == 200, answer.text
            assert close(answer.json()["probabilities"], expected)
        reply = stub.Predict(ser_pb2.PredictRequest(model_id=model_id, audio=recording))
        assert close(dict(reply.probabilities), expected)


def test_the_answer_says_which_pieces_and_which_model(
    server: Server, model_id: str, bundle: Bundle, recording: bytes
) -> None:
    with server.client() as client:
        answer = client.post("/predict", files={"audio": recording}, data={"model_id": model_id}).json()
    seconds = soundfile.info(io.BytesIO(recording)).duration
    ends = [piece["end_seconds"] for piece in answer["pieces"]]
    assert ends[-1] == pytest.approx(seconds, abs=1e-3)
    assert [piece["start_seconds"] for piece in answer["pieces"][1:]] == pytest.approx(ends[:-1])
    for piece in [answer, *answer["pieces"]]:
        assert sum(piece["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert answer["model"]["model_id"] == model_id
    assert answer["model"]["sha256"] == bundle.manifest.files["model.tflite"]
    assert "ground_truth" not in answer


def test_what_the_model_does_not_know_of_the_speaker_is_said_and_counts_as_nothing(
    server: Server, model_id: str, recording: bytes, predictor: Predictor
) -> None:
    known = predictor.bundle.frontend.extractors["SpeakerAndGenderAndTextType"].arrays["speaker"][0]
    form = {"model_id": model_id}
    with server.client() as client:
        nothing = client.post("/predict", files={"audio": recording}, data=form).json()
        stranger = client.post("/predict", files={"audio": recording}, data={**form, "speaker": "nobody"}).json()
        friend = client.post("/predict", files={"audio": recording}, data={**form, "speaker": known}).json()
    assert nothing["unknown"] == stranger["unknown"] == ["speaker", "gender", "text"]
    assert stranger["probabilities"] == nothing["probabilities"]
    assert friend["unknown"] == ["gender", "text"]
    assert close(friend["probabilities"], predictor.predict(recording, about=About(speaker=str(known))).probabilities)
    assert friend["probabilities"] != nothing["probabilities"]


def test_several_recordings_in_one_call(server: Server, model_id: str, recording: bytes, predictor: Predictor) -> None:
    other = wav(tone(2.0))
    expected = [predictor.predict(recording).probabilities, predictor.predict(other).probabilities]
    clips = [ser_pb2.Clip(name="one", audio=recording), ser_pb2.Clip(name="two", audio=other)]
    with server.client() as client, server.stub() as stub:
        reply = stub.Predict(ser_pb2.PredictRequest(model_id=model_id, clips=clips))
        form = [("clips", recording), ("clips", other)]
        answer = client.post("/predict", files=form, data={"model_id": model_id}).json()
    assert [clip.name for clip in reply.predictions] == ["one", "two"]
    for number, probabilities in enumerate(expected):
        assert close(dict(reply.predictions[number].probabilities), probabilities)
        assert close(answer["predictions"][number]["probabilities"], probabilities)


@pytest.mark.parametrize(("kind", "subtype"), [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")])
def test_other_formats(server: Server, model_id: str, kind: str, subtype: str) -> None:
    data = wav(tone(2.0, 44_100), 44_100, kind=kind, subtype=subtype)
    with server.client() as client:
        answer = client.post("/predict", files={"audio": data}, data={"model_id": model_id})
    assert answer.status_code == 200, answer.text


def test_a_recording_too_large_for_the_loop_goes_to_a_thread_and_means_the_same(
    server: Server, model_id: str, predictor: Predictor
) -> None:
    data = wav(tone(12.0) * np.linspace(0.1, 1, 12 * 16_000))
    with server.client() as client:
        answer = client.post("/predict", files={"audio": data}, data={"model_id": model_id}).json()
    assert close(answer["probabilities"], predictor.predict(data).probabilities)


def test_models_are_listed_shown_and_reported(server: Server, bundle: Bundle, model_id: str) -> None:
    with server.client() as client:
        assert [model["model_id"] for model in client.get("/models").json()["models"]] == [model_id]
        model = client.get(f"/models/{model_id}").json()
        report: httpx.Response = client.get(f"/models/{model_id}/report")
    assert model["classes"] == list(bundle.manifest.classes)
    assert model["validation_samples"] == list(bundle.manifest.validation_samples)
    assert model["metrics"] == pytest.approx(bundle.manifest.metrics)
    assert model["manifest"]["corpus_sha256"] == bundle.manifest.corpus_sha256
    assert report.headers["content-type"].startswith("text/html")
    assert report.content == (bundle.report / "report.html").read_bytes()


def test_a_caller_can_ask_not_to_be_told_what_is_uncertain(
    server: Server, model_id: str, recording: bytes, sample: str
) -> None:
    encoded = base64.b64encode(recording).decode()
    bodies: list[dict[str, object]] = [
        {"audio": encoded}, {"sample_name": sample}, {"clips": [{"audio": encoded}]}
    ]  # fmt: skip
    with server.client() as client, server.stub() as stub:
        for body in bodies:
            for threshold, uncertain in ((0, False), (1, True)):
                request = {"model_id": model_id, **body, "uncertain_below": threshold}
                answer = client.post("/predict", json=request).raise_for_status().json()
                one = answer["predictions"][0] if "clips" in body else answer
                assert (one["prediction"] == "uncertain") == uncertain
                assert sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-3)
        told = client.post(
            "/predict",
            params={"model_id": model_id, "uncertain_below": "1"},
            content=recording,
            headers={"content-type": "audio/wav"},
        )
        assert told.json()["prediction"] == "uncertain"
        for wrong in (-0.1, 1.5):
            refused = client.post("/predict", json={"model_id": model_id, "audio": encoded, "uncertain_below": wrong})
            assert refused.status_code == 400
            assert f"uncertain_below: expected 0 to 1, got {wrong:g}" in refused.text
        reply = stub.Predict(ser_pb2.PredictRequest(model_id=model_id, audio=recording, uncertain_below=1.0))
        assert reply.prediction == "uncertain"
