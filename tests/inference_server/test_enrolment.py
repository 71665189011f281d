"""Speakers who enroll with a server: both protocols, several workers, limits, an object store."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from websockets.sync.client import connect

from ser.bundles.bundle import Bundle
from ser.bundles.model_store import save_bundle
from ser.features import About
from ser.predictor import Predictor
from ser_api.v1 import ser_pb2
from tests.deadlines import tries
from tests.inference_server.harness import Server, fields_of, serve, status_of
from tests.object_store import s3_bucket, s3_endpoint
from tests.signals import tone, wav

__all__ = ["s3_bucket", "s3_endpoint"]

ANNA = [wav(tone(2.0, hertz=hertz)) for hertz in (210, 230, 250)]
CLIP = wav(tone(2.0, hertz=220))


@pytest.fixture(scope="module")
def listener(adaptive: Bundle, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of two workers with a model that adapts and one that does not."""
    folder = tmp_path_factory.mktemp("listener")
    for one in (adaptive, bundle):
        shutil.copytree(one.folder, folder / "models" / one.manifest.model_id)
    with serve(folder, workers=2, max_clips=4, max_audio_seconds=20) as server:
        yield server


@pytest.fixture
def adapts(listener: Server, adaptive: Bundle) -> Iterator[str]:
    """The model that adapts; who enrolled for it is forgotten at the end."""
    yield adaptive.manifest.model_id
    shutil.rmtree(listener.models / ".speakers" / adaptive.manifest.model_id, ignore_errors=True)


def test_whoever_enrolls_is_known_to_the_next_call_at_any_worker(listener: Server, adapts: str) -> None:
    predictor = Predictor(listener.models, adapts)
    alone = predictor.predict(CLIP, enrollment_clips=ANNA).probabilities
    form = {"model_id": adapts, "speaker": "anna"}
    for number, clip in enumerate(ANNA, 1):
        # A new connection each time: the kernel deals them to the workers.
        with listener.client() as client:
            files = [("clips", clip)]
            answer = client.post(f"/models/{adapts}/speakers", files=files, data={"speaker": "anna"})
            assert answer.json() == {"speaker": "anna", "enrolled_clips": number, "training_clips": 0}
        for _ in range(6):
            with listener.client() as client:
                told = client.post("/predict", files={"audio": CLIP}, data=form).json()
            assert told["speaker_clips"] == number
    assert told["probabilities"] == pytest.approx(alone, abs=1e-4)
    with listener.client() as client:
        assert client.post("/predict", files={"audio": CLIP}, data={"model_id": adapts}).json()["speaker_clips"] == 0
        gone = client.delete(f"/models/{adapts}/speakers/anna")
        assert gone.json() == {"speaker": "anna"}
        assert client.post("/predict", files={"audio": CLIP}, data=form).json()["speaker_clips"] == 0
        assert client.delete(f"/models/{adapts}/speakers/anna").status_code == 404


def test_grpc_and_json_say_the_same(listener: Server, adapts: str) -> None:
    clips = [base64.b64encode(clip).decode() for clip in ANNA]
    with listener.client() as client, listener.stub() as stub:
        request = ser_pb2.EnrollSpeakerRequest(model_id=adapts, speaker="anna", clips=ANNA)
        assert stub.EnrollSpeaker(request).enrolled_clips == 3
        body = {"speaker": "anna", "clips": clips[:1], "replace": True}
        assert client.post(f"/models/{adapts}/speakers", json=body).json()["enrolled_clips"] == 1
        reply = stub.Predict(ser_pb2.PredictRequest(model_id=adapts, audio=CLIP, speaker="anna"))
        assert reply.speaker_clips == 1
        several = stub.Predict(
            ser_pb2.PredictRequest(
                model_id=adapts, clips=[ser_pb2.Clip(audio=CLIP, speaker="anna"), ser_pb2.Clip(audio=CLIP)]
            )
        )
        assert [one.speaker_clips for one in several.predictions] == [1, 0]
        assert several.predictions[0].probabilities != several.predictions[1].probabilities
        stub.DeleteSpeaker(ser_pb2.DeleteSpeakerRequest(model_id=adapts, speaker="anna"))


def test_clips_that_come_along_are_adapted_to_and_not_kept(listener: Server, adapts: str) -> None:
    expected = Predictor(listener.models, adapts).predict(CLIP, enrollment_clips=ANNA).probabilities
    with listener.client() as client, listener.stub() as stub:
        form = client.post(
            "/predict",
            files=[("audio", CLIP), *(("enrollment_clips", clip) for clip in ANNA)],
            data={"model_id": adapts},
        ).json()
        assert form["speaker_clips"] == 3
        assert form["probabilities"] == pytest.approx(expected, abs=1e-4)
        request = ser_pb2.PredictRequest(
            model_id=adapts, clips=[ser_pb2.Clip(audio=CLIP), ser_pb2.Clip(audio=ANNA[0])], enrollment_clips=ANNA
        )
        assert [one.speaker_clips for one in stub.Predict(request).predictions] == [3, 3]
        stub.EnrollSpeaker(ser_pb2.EnrollSpeakerRequest(model_id=adapts, speaker="anna", clips=ANNA))
        on_top = ser_pb2.PredictRequest(model_id=adapts, audio=CLIP, speaker="anna", enrollment_clips=ANNA[:2])
        assert stub.Predict(on_top).speaker_clips == 5
    kept = [path.name for path in (listener.models / ".speakers" / adapts).glob("*/[!.]*")]
    assert kept == ["anna.npz"]


def test_a_model_says_whether_it_adapts(listener: Server, adapts: str, model_id: str) -> None:
    with listener.client() as client:
        listed = {one["model_id"]: one["adapts"] for one in client.get("/models").json()["models"]}
        assert listed == {adapts: True, model_id: False}
        assert [client.get(f"/models/{one}").json()["adapts"] for one in (adapts, model_id)] == [True, False]


def test_speakers_are_listed_with_those_of_the_training(listener: Server, adapts: str, adaptive: Bundle) -> None:
    assert adaptive.adaptation is not None
    trained = {name: known.clips for name, known in adaptive.adaptation.known.items()}
    with listener.client() as client:
        client.post(f"/models/{adapts}/speakers", files=[("clips", ANNA[0])], data={"speaker": "anna"})
        everybody, token = [], ""
        for _ in tries():
            page = client.get(f"/models/{adapts}/speakers", params={"page_size": 4, "page_token": token}).json()
            assert len(page["speakers"]) <= 4
            everybody += page["speakers"]
            token = page["next_page_token"]
            if not token:
                break
    assert {one["speaker"]: one["training_clips"] for one in everybody} == {**trained, "anna": 0}
    assert [one["speaker"] for one in everybody] == sorted([*trained, "anna"])
    assert [one["enrolled_clips"] for one in everybody if one["speaker"] == "anna"] == [1]


def stream_config(model_id: str, **more: Any) -> ser_pb2.StreamPredictRequest:
    config = ser_pb2.StreamConfig(model_id=model_id, window_seconds=1, hop_seconds=0.5, **more)
    return ser_pb2.StreamPredictRequest(config=config)


def test_a_stream_adapts_as_it_goes_on_top_of_who_enrolled(listener: Server, adapts: str) -> None:
    pcm = (tone(3.0) * 32_767).astype("<i2").tobytes()
    samples = ser_pb2.StreamPredictRequest(pcm=pcm)
    with listener.stub() as stub:
        stub.EnrollSpeaker(ser_pb2.EnrollSpeakerRequest(model_id=adapts, speaker="anna", clips=ANNA))

        def clips(**config: Any) -> list[int]:
            answers = stub.StreamPredict(iter([stream_config(adapts, **config), samples]))
            return [answer.speaker_clips for answer in answers]

        assert clips() == [0, 1, 1, 2, 2]
        assert clips(adapt=False) == [0] * 5
        assert clips(adapt=True, speaker="anna") == [3, 4, 4, 5, 5]
        assert clips(adapt=False, speaker="anna", enrollment_clips=ANNA[:1]) == [4] * 5
        assert stub.Predict(ser_pb2.PredictRequest(model_id=adapts, audio=CLIP, speaker="anna")).speaker_clips == 3
    with connect(f"{listener.http.replace('http', 'ws')}/predict/stream") as socket:
        clip = base64.b64encode(ANNA[0]).decode()
        config = {"model_id": adapts, "window_seconds": 1, "hop_seconds": 1, "enrollment_clips": [clip]}
        socket.send(json.dumps({"config": config}))
        socket.send(pcm)
        socket.send("")
        assert [json.loads(message)["speaker_clips"] for message in socket] == [1, 2, 3]


def refused(call: Any) -> tuple[grpc.StatusCode, str, dict[str, str]]:
    with pytest.raises(grpc.RpcError) as failed:
        call()
    status = status_of(failed.value)
    return failed.value.code(), status.message, fields_of(status)  # type: ignore[attr-defined]


def test_a_model_that_does_not_adapt_refuses_clips_and_takes_a_name(listener: Server, model_id: str) -> None:
    enroll = ser_pb2.EnrollSpeakerRequest(model_id=model_id, speaker="anna", clips=ANNA)
    with listener.stub() as stub, listener.client() as client:
        for call in (
            lambda: stub.EnrollSpeaker(enroll),
            lambda: stub.ListSpeakers(ser_pb2.ListSpeakersRequest(model_id=model_id)),
            lambda: stub.DeleteSpeaker(ser_pb2.DeleteSpeakerRequest(model_id=model_id, speaker="anna")),
            lambda: stub.Predict(ser_pb2.PredictRequest(model_id=model_id, audio=CLIP, enrollment_clips=ANNA)),
            lambda: list(stub.StreamPredict(iter([stream_config(model_id, enrollment_clips=ANNA)]))),
        ):
            code, message, _ = refused(call)
            assert code is grpc.StatusCode.FAILED_PRECONDITION
            assert f"{model_id} does not adapt to speakers" in message
        answer = client.post("/predict", files={"audio": CLIP}, data={"model_id": model_id, "speaker": "anna"})
        assert answer.json()["speaker_clips"] == 0
        pcm = ser_pb2.StreamPredictRequest(pcm=(tone(1.0) * 32_767).astype("<i2").tobytes())
        (one,) = stub.StreamPredict(iter([stream_config(model_id, adapt=True, speaker="anna"), pcm]))
        assert one.speaker_clips == 0


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"clips": []}, "INVALID_ARGUMENT", "clips"),
        ({"speaker": ""}, "INVALID_ARGUMENT", "speaker"),
        ({"speaker": "../anna"}, "INVALID_ARGUMENT", "speaker"),
        ({"speaker": "a" * 129}, "INVALID_ARGUMENT", "speaker"),
        ({"model_id": ""}, "INVALID_ARGUMENT", "model_id"),
        ({"model_id": "none"}, "NOT_FOUND", None),
        ({"model_save_path": "../elsewhere"}, "PERMISSION_DENIED", None),
        ({"clips": [ANNA[0], b"noise"]}, "INVALID_ARGUMENT", "clips[1]"),
        ({"clips": [wav(tone(1.0) * 0)]}, "INVALID_ARGUMENT", "clips[0]"),
        ({"clips": [wav(tone(21.0))]}, "RESOURCE_EXHAUSTED", None),
        ({"clips": [CLIP] * 5}, "RESOURCE_EXHAUSTED", None),
    ],
    ids=str,
)
def test_what_does_not_serve_is_refused_and_nothing_is_kept(
    listener: Server, adapts: str, fields: dict[str, Any], code: str, field: str | None
) -> None:
    good = {"model_id": adapts, "speaker": "anna", "clips": ANNA}
    with listener.stub() as stub:
        came, _, violations = refused(lambda: stub.EnrollSpeaker(ser_pb2.EnrollSpeakerRequest(**{**good, **fields})))
    assert came.name == code
    assert list(violations) == ([field] if field else [])
    assert not (listener.models / ".speakers" / adapts).exists()


def test_wrong_enrollment_clips_are_named(listener: Server, adapts: str, adaptive: Bundle) -> None:
    sample = adaptive.manifest.validation_samples[0]
    two = [ser_pb2.Clip(audio=CLIP, speaker=name) for name in ("anna", "bert")]
    with listener.stub() as stub:

        def predict(**fields: Any) -> tuple[grpc.StatusCode, str, dict[str, str]]:
            request = ser_pb2.PredictRequest(**{"model_id": adapts, "enrollment_clips": ANNA, **fields})
            return refused(lambda: stub.Predict(request))

        assert "came with sample_name" in predict(sample_name=sample)[2]["enrollment_clips"]
        assert "they name 2" in predict(clips=two)[2]["enrollment_clips"]
        assert "they name 2" in predict(clips=two, enrollment_clips=[], adapt=True)[2]["adapt"]
        assert "only with clips, came with audio" in predict(audio=CLIP, adapt=True)[2]["adapt"]
        broken = [ser_pb2.Clip(audio=CLIP), ser_pb2.Clip(audio=b"x")]
        assert list(predict(clips=broken, enrollment_clips=[], adapt=True)[2]) == ["clips[1].audio"]
        assert list(predict(audio=CLIP, enrollment_clips=[CLIP, b"x"])[2]) == ["enrollment_clips[1]"]
        assert predict(audio=CLIP, enrollment_clips=[CLIP] * 5)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        _, _, violations = refused(
            lambda: list(stub.StreamPredict(iter([stream_config(adapts, enrollment_clips=[b"x"])])))
        )
        assert list(violations) == ["config.enrollment_clips[0]"]
        assert (
            "1 to 1000"
            in refused(lambda: stub.ListSpeakers(ser_pb2.ListSpeakersRequest(model_id=adapts, page_size=0)))[1]
        )


def test_a_deadline_that_passes_keeps_nothing(listener: Server, adapts: str) -> None:
    clips = [wav(tone(19.0, 8_000), 8_000)] * 4
    request = ser_pb2.EnrollSpeakerRequest(model_id=adapts, speaker="anna", clips=clips)
    with listener.stub() as stub, pytest.raises(grpc.RpcError) as late:
        stub.EnrollSpeaker(request, timeout=0.002)
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED  # type: ignore[attr-defined]
    assert not (listener.models / ".speakers" / adapts).exists()


def test_sums_that_were_damaged_are_told_of_and_can_be_replaced(
    listener: Server, adapts: str, adaptive: Bundle
) -> None:
    predict = ser_pb2.PredictRequest(model_id=adapts, audio=CLIP, speaker="anna")
    enroll = ser_pb2.EnrollSpeakerRequest(model_id=adapts, speaker="anna", clips=ANNA)
    with listener.stub() as stub:
        stub.EnrollSpeaker(enroll)
        (listener.models / ".speakers" / adapts / adaptive.manifest.training / "anna.npz").write_bytes(b"PK half")
        for call in (lambda: stub.Predict(predict), lambda: stub.EnrollSpeaker(enroll)):
            code, message, _ = refused(call)
            assert code is grpc.StatusCode.DATA_LOSS
            assert "anna.npz" in message
        enroll.replace = True
        assert stub.EnrollSpeaker(enroll).enrolled_clips == 3
        assert stub.Predict(predict).speaker_clips == 3


def test_a_deleted_model_takes_its_speakers_with_it(adaptive: Bundle, tmp_path: Path) -> None:
    model_id = adaptive.manifest.model_id
    shutil.copytree(adaptive.folder, tmp_path / "models" / model_id)
    with serve(tmp_path) as server, server.client() as client:
        client.post(
            f"/models/{model_id}/speakers", files=[("clips", CLIP)], data={"speaker": "anna"}
        ).raise_for_status()
        assert client.delete(f"/models/{model_id}").status_code == 200
        assert not (server.models / ".speakers" / model_id).exists()
        assert client.get(f"/models/{model_id}/speakers").status_code == 404


def test_an_object_store_has_the_speakers_too(s3_bucket: str, adaptive: Bundle, tmp_path: Path) -> None:
    model_id, place = adaptive.manifest.model_id, f"{s3_bucket}/models"
    save_bundle(adaptive.folder, None, place)
    roots = {"model_root": place, "data_root": f"{s3_bucket}/data", "state_root": tmp_path / "state"}
    form = {"model_id": model_id, "speaker": "anna"}
    with serve(tmp_path / "server", refresh_seconds=0.1, **roots) as server, server.client() as client:

        def clips() -> int:
            return int(client.post("/predict", files={"audio": CLIP}, data=form).json()["speaker_clips"])

        assert clips() == 0
        files = [("clips", clip) for clip in ANNA]
        answer = client.post(f"/models/{model_id}/speakers", files=files, data={"speaker": "anna"})
        assert answer.json()["enrolled_clips"] == 3
        assert clips() == 3
        # On another machine.
        library = Predictor(place, model_id)
        assert library.predict(CLIP, about=About(speaker="anna")).speaker_clips == 3
        library.enroll("anna", ANNA[:1])
        for _ in tries():
            if clips() == 4:
                break
        assert client.delete(f"/models/{model_id}").status_code == 200
        assert client.get(f"/models/{model_id}/speakers").status_code == 404
