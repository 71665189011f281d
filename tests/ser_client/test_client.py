"""The client against the real server, and against one that fails on purpose."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
from typer.testing import CliRunner

from ser.bundles.bundle import Bundle
from ser.cli.main import app
from ser.errors import Code, ConfigError, NotFoundError, SerError
from ser.features import About
from ser.predictor import Predictor
from ser_api.v1 import ser_pb2, ser_pb2_grpc
from ser_client import AsyncClient, Client, KnownSpeaker, Recording, ServerError
from tests.deadlines import tries
from tests.inference_server.harness import Server, serve
from tests.signals import tone, wav


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.grpc) as client:
        yield client


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.wav"
    path.write_bytes(wav(tone(2.5)))
    return path


def test_predictions_are_those_of_the_library(client: Client, bundle: Bundle, model_id: str, clip: Path) -> None:
    library = Predictor(bundle.folder.parent, model_id)
    for audio in (clip, str(clip), clip.read_bytes()):
        answer = client.predict(audio, model_id=model_id, speaker="03")
        assert answer.probabilities == pytest.approx(library.predict(clip).probabilities, abs=1e-4)
        assert answer.sample_name == ("audio" if isinstance(audio, bytes) else "clip.wav")
        assert answer.model is not None
        assert answer.model.sha256 == bundle.manifest.files["model.tflite"]
        assert "gender" in answer.unknown
        assert answer.pieces[-1].end_seconds == 2.5
    name = bundle.manifest.validation_samples[0]
    sample = client.predict_sample(name, model_id=model_id)
    assert (sample.sample_name, sample.ground_truth) == (name, library.predict_sample(name).ground_truth)
    many = client.predict_many([Recording(clip), Recording(clip.read_bytes(), name="b")], model_id=model_id)
    assert [one.sample_name for one in many] == ["clip.wav", "b"]
    assert many[0].probabilities == many[1].probabilities
    unsure = [
        client.predict(clip, model_id=model_id, uncertain_below=1.0),
        client.predict_sample(name, model_id=model_id, uncertain_below=1.0),
        *client.predict_many([Recording(clip)], model_id=model_id, uncertain_below=1.0),
    ]
    assert [one.prediction for one in unsure] == ["uncertain"] * 3
    windows = client.stream([bytes(range(256)) * 250], model_id=model_id, uncertain_below=1.0)
    assert [window.prediction for window in windows] == ["uncertain"]


def test_models_and_reports(client: Client, bundle: Bundle, model_id: str) -> None:
    assert [model.model_id for model in client.models()] == [model_id]
    assert list(client.model(model_id).classes) == list(bundle.manifest.classes)
    assert client.report(model_id) == (bundle.report / "report.html").read_text()


def test_a_stream(client: Client, model_id: str) -> None:
    pcm = (tone(3.0) * 32_767).astype("<i2").tobytes()
    chunks = [pcm[at : at + 8_000] for at in range(0, len(pcm), 8_000)]
    answers = list(client.stream(chunks, model_id=model_id, window_seconds=1, hop_seconds=1))
    assert [answer.end_seconds for answer in answers] == [1, 2, 3]


def test_speakers_enroll_are_listed_and_forgotten(
    adaptive: Bundle, tmp_path: Path, clip: Path, model_id: str, bundle: Bundle
) -> None:
    adapts, pcm = adaptive.manifest.model_id, (tone(2.0) * 32_767).astype("<i2").tobytes()
    for one in (adaptive, bundle):
        shutil.copytree(one.folder, tmp_path / "models" / one.manifest.model_id)

    async def asynchronously(target: str) -> None:
        async with AsyncClient(target) as client:
            known = await client.enroll_speaker("bert", [clip], model_id=adapts)
            assert known == KnownSpeaker("bert", 1, 0)
            assert known in [one async for one in client.speakers(adapts)]
            told = await client.predict(clip, model_id=adapts, speaker="bert", enrollment_clips=[clip])
            assert told.speaker_clips == 2
            (of_many,) = await client.predict_many([Recording(clip)], model_id=adapts, enrollment_clips=[clip])
            assert of_many.speaker_clips == 1
            await client.delete_speaker("bert", model_id=adapts)
            assert known not in [one async for one in client.speakers(adapts)]

    with serve(tmp_path) as server, Client(server.grpc) as client:
        assert client.enroll_speaker("anna", [clip, clip.read_bytes()], model_id=adapts) == KnownSpeaker("anna", 2, 0)
        answer = client.predict(clip, model_id=adapts, speaker="anna")
        library = Predictor(server.models, adapts).predict(clip, about=About(speaker="anna"))
        assert answer.speaker_clips == library.speaker_clips == 2
        assert answer.probabilities == pytest.approx(library.probabilities, abs=1e-4)
        assert client.predict(clip, model_id=adapts, enrollment_clips=[clip]).speaker_clips == 1
        many = client.predict_many([Recording(clip)], model_id=adapts, enrollment_clips=[str(clip)] * 3)
        assert [one.speaker_clips for one in many] == [3]
        config = {"model_id": adapts, "window_seconds": 1, "hop_seconds": 1, "enrollment_clips": [clip]}
        assert [one.speaker_clips for one in client.stream([pcm], **config)] == [1, 2]
        assert client.enroll_speaker("anna", [clip], model_id=adapts, replace=True).clips == 1
        assert KnownSpeaker("anna", 1, 0) in list(client.speakers(adapts))
        client.delete_speaker("anna", model_id=adapts)
        assert "anna" not in {known.speaker for known in client.speakers(adapts)}
        with pytest.raises(ServerError, match="does not adapt") as unable:
            client.enroll_speaker("anna", [clip], model_id=model_id)
        assert unable.value.code is Code.FAILED_PRECONDITION
        with pytest.raises(NotFoundError, match="no such file"):
            client.enroll_speaker("anna", ["nowhere.wav"], model_id=adapts)
        asyncio.run(asynchronously(server.grpc))


def test_errors_say_what_and_where(client: Client, model_id: str) -> None:
    with pytest.raises(ServerError, match="no model 'none'") as missing:
        client.predict(wav(tone()), model_id="none")
    assert missing.value.code is Code.NOT_FOUND
    assert missing.value.request_id
    with pytest.raises(ServerError) as wrong:
        client.predict(wav(np.zeros(100)), model_id=model_id)
    assert wrong.value.code is Code.INVALID_ARGUMENT
    assert [violation.field for violation in wrong.value.violations] == ["audio"]
    with pytest.raises(NotFoundError, match="no such file"):
        client.predict("nowhere.wav", model_id=model_id)
    with pytest.raises(ConfigError, match="colour"):
        client.train(colour=1)
    with pytest.raises(ServerError, match="config"):
        list(client.stream([], model_id=model_id, hop_seconds=0))
    with pytest.raises(ServerError, match="no job"):
        list(client.watch("job-0"))


def test_trainings(tmp_path: Path) -> None:
    fields = {
        "data_path": "data", "remote_url": "embedded:?clips=70", "model_type": "KerasClassifier",
        "model_save_path": "models", "model_config": {"epochs": 2}, "dataset_load_split_at": 16_000,
    }  # fmt: skip
    with serve(tmp_path) as server, Client(server.grpc) as client:
        result = client.train(**fields)
        assert client.predict_sample(result.test_samples[0], model_id=result.model_id).ground_truth
        job = client.start_training(**{**fields, "model_config": {"epochs": 50_000}})
        watched = client.watch(job.job_id)
        for _ in tries():
            if next(watched).state == ser_pb2.TrainingJob.RUNNING:
                break
        client.cancel(job.job_id)
        *_, last = watched
        assert last.state == client.job(job.job_id).state == ser_pb2.TrainingJob.CANCELLED
        assert [one.job_id for one in client.jobs()] == [job.job_id, result.job_id]
        client.delete_model(result.model_id)
        assert client.models() == []


def test_the_asynchronous_client_says_the_same(server: Server, model_id: str, bundle: Bundle, clip: Path) -> None:
    name = bundle.manifest.validation_samples[0]
    pcm = (tone(2.0) * 32_767).astype("<i2").tobytes()

    async def chunks() -> AsyncIterator[bytes]:
        yield pcm

    async def main() -> None:
        async with AsyncClient(server.grpc) as client:
            with Client(server.grpc) as other:
                assert await client.predict(clip, model_id=model_id) == other.predict(clip, model_id=model_id)
                assert await client.predict_sample(name, model_id=model_id) == other.predict_sample(
                    name, model_id=model_id
                )
                assert await client.predict_many([Recording(clip)], model_id=model_id) == other.predict_many(
                    [Recording(clip)], model_id=model_id
                )
                assert await client.models() == other.models()
                assert await client.model(model_id) == other.model(model_id)
                assert await client.report(model_id) == other.report(model_id)
                config = {"model_id": model_id, "window_seconds": 1.0}
                assert [one async for one in client.stream(chunks(), **config)] == list(other.stream([pcm], **config))
            assert [job async for job in client.jobs()] == []
            for call in (client.job("job-0"), client.cancel("job-0"), client.start_training(), client.train()):
                with pytest.raises(ServerError):
                    await call
            with pytest.raises(ServerError):
                await client.delete_model("none")
            with pytest.raises(ServerError):
                [one async for one in client.watch("job-0")]

    asyncio.run(main())


class Unsteady(ser_pb2_grpc.SpeechEmotionRecognitionServicer):
    """Is away twice, then answers; counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.metadata: dict[str, str | bytes] = {}

    def Predict(self, request: ser_pb2.PredictRequest, context: grpc.ServicerContext) -> ser_pb2.PredictResponse:  # noqa: N802
        self.asked.append("Predict")
        self.metadata = dict(context.invocation_metadata())
        if len(self.asked) < 3:
            context.abort(grpc.StatusCode.UNAVAILABLE, "back soon")
        return ser_pb2.PredictResponse(sample_name=request.sample_name, prediction="anger")

    def Train(self, request: ser_pb2.TrainRequest, context: grpc.ServicerContext) -> ser_pb2.TrainResponse:  # noqa: ARG002, N802
        self.asked.append("Train")
        context.abort(grpc.StatusCode.UNAVAILABLE, "back soon")
        raise AssertionError


@pytest.fixture
def unsteady() -> Iterator[tuple[Unsteady, str]]:
    service = Unsteady()
    server = grpc.server(ThreadPoolExecutor(2))
    ser_pb2_grpc.add_SpeechEmotionRecognitionServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield service, f"127.0.0.1:{port}"
    server.stop(None)


def test_what_changes_nothing_is_tried_again_and_a_training_is_not(unsteady: tuple[Unsteady, str]) -> None:
    service, target = unsteady
    with Client(target, token="secret") as client:
        assert client.predict_sample("x", model_id="m").prediction == "anger"
        assert service.asked == ["Predict"] * 3
        assert service.metadata["authorization"] == "Bearer secret"
        service.asked.clear()
        with pytest.raises(ServerError) as away:
            client.train(data_path="d")
    assert away.value.code is Code.UNAVAILABLE
    assert service.asked == ["Train"]


def test_a_server_that_is_not_there(unused_port: int) -> None:
    with (
        Client(f"127.0.0.1:{unused_port}", timeout=20) as client,
        pytest.raises(ServerError, match=f"no server answers at 127.0.0.1:{unused_port}"),
    ):
        client.models()


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("target", ["ser.example.org:50051", "10.0.0.1:50051"])
def test_a_token_does_not_go_out_in_the_clear(target: str) -> None:
    with pytest.raises(ConfigError, match="token: expected TLS"):
        Client(target, token="secret")
    Client(target, token="secret", tls=True).close()


def test_the_command_line_predicts_by_a_server(server: Server, model_id: str, clip: Path, bundle: Bundle) -> None:
    sample = bundle.manifest.validation_samples[0]
    run = CliRunner().invoke
    remote = run(app, ["predict", "--server", server.grpc, "--json", "--sample-name", sample, str(clip)])
    local = run(
        app,
        ["predict", "--model-save-path", str(server.models), "--model-id", model_id, "--json", "--sample-name", sample,
         str(clip)],
    )  # fmt: skip
    assert remote.exit_code == 0, remote.output
    there, here = json.loads(remote.stdout), json.loads(local.stdout)
    assert there["model_id"] == here["model_id"] == model_id
    for one, other in zip(there["predictions"], here["predictions"], strict=True):
        assert one["sample_name"] == other["sample_name"]
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-4)
    table = run(app, ["predict", "--server", server.grpc, str(clip)])
    assert there["predictions"][1]["prediction"] in table.stdout
    missing = run(app, ["predict", "--server", server.grpc, "--model-id", "none", str(clip)])
    assert isinstance(missing.exception, ServerError)


def test_the_command_line_enrolls_here_and_with_a_server(adaptive: Bundle, tmp_path: Path, clip: Path) -> None:
    adapts = adaptive.manifest.model_id
    shutil.copytree(adaptive.folder, tmp_path / "models" / adapts)
    with serve(tmp_path) as server:
        for speaker, where in (
            ("anna", ["--server", server.grpc]),
            ("bert", ["--model-save-path", str(server.models)]),
        ):

            def run(*arguments: object, where: list[str] = where) -> str:
                ended = CliRunner().invoke(app, [*map(str, arguments), *where])
                assert ended.exit_code == 0, ended.output
                return ended.stdout

            assert run("enroll", speaker, clip, clip) == f"{speaker}: 2 clips known to {adapts}\n"
            again = json.loads(run("enroll", "--json", speaker, clip))
            assert again == {"model_id": adapts, "speaker": speaker, "clips": 3}
            assert json.loads(run("enroll", "--json", "--replace", speaker, clip))["clips"] == 1
            table = run("predict", "--speaker", speaker, clip)
            assert "clips adapted to" in table
            both = json.loads(run("predict", "--json", "--speaker", speaker, "--enrollment-clips", clip, clip))
            assert both["predictions"][0]["speaker_clips"] == 2
            once = json.loads(run("predict", "--json", "--enrollment-clips", clip, "--enrollment-clips", clip, clip))
            assert once["predictions"][0]["speaker_clips"] == 2
            told = json.loads(run("predict", "--json", "--adapt", clip, clip))["predictions"]
            assert [one["speaker_clips"] for one in told] == [2, 2]
            assert told[0]["probabilities"] == pytest.approx(once["predictions"][0]["probabilities"], abs=1e-4)
            assert "clips adapted to" not in run("predict", clip)
            listed = json.loads(run("speakers", "--json"))
            assert listed["model_id"] == adapts
            assert {"speaker": speaker, "enrolled_clips": 1, "training_clips": 0} in listed["speakers"]
            assert speaker in run("speakers")
            assert speaker not in run("speakers", "--delete", speaker)
            failed = CliRunner().invoke(app, ["speakers", "--delete", speaker, *where])
            assert isinstance(failed.exception, SerError)
            assert failed.exception.code is Code.NOT_FOUND
