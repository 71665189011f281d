"""One call, one file, one caller that dawdles: none of them holds up the others."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import filelock
import grpc
import httpx
import pytest

from ser.bundles.bundle import Bundle
from ser_api.v1 import ser_pb2
from ser_inference_server.settings import Settings
from ser_inference_server.threads import LOCK_SECONDS
from tests.deadlines import tries
from tests.forgery import copy_as
from tests.inference_server.harness import Server, serve
from tests.signals import tone, wav


@pytest.fixture
def models(bundle: Bundle, tmp_path: Path) -> Path:
    """A folder of a model and of another one, by name only."""
    folder = tmp_path / "models"
    for name in (bundle.manifest.model_id, "other"):
        copy_as(bundle.folder, folder / name)
    return folder


def long_clip(seconds: float = 590.0) -> bytes:
    """Much sound in few bytes."""
    return wav(tone(seconds, 1_000), 1_000)


def claiming_1_hz() -> bytes:
    data = bytearray(wav(tone(600 / 16_000)))
    data[24:28] = struct.pack("<I", 1)
    return bytes(data)


def predict(client: httpx.Client, model_id: str, *clips: bytes, **options: Any) -> httpx.Response:
    files = [("clips", clip) for clip in clips]
    return client.post("/predict", files=files, data={"model_id": model_id}, **options)


@pytest.mark.usefixtures("models")
def test_clips_that_claim_a_rate_of_1_hz_are_refused(model_id: str, tmp_path: Path) -> None:
    with serve(tmp_path) as server, server.client() as client:
        for number in (1, 64):
            answer = predict(client, model_id, *[claiming_1_hz()] * number)
            assert answer.status_code == 400, answer.text
            assert "expected a sampling rate of 1000 to 768000 Hz, got 1 Hz" in answer.json()["message"]


@pytest.mark.usefixtures("models")
def test_short_calls_are_answered_while_long_ones_are_computed(model_id: str, tmp_path: Path) -> None:
    short, clips = wav(tone(1.0)), [long_clip(100), long_clip(1_800)]
    limits = {"max_audio_seconds": 2_000, "max_call_audio_seconds": 2_000}
    with serve(tmp_path, **limits) as server, server.client() as client, ThreadPoolExecutor(1) as pool:
        for _ in tries():
            before = heard(client)
            long = pool.submit(predict, client, model_id, *clips)
            answered = 0
            while not long.done():
                if heard(client) == before + 100 + answered:  # the second clip is being computed
                    assert predict(client, model_id, short).status_code == 200
                    answered += 1
            assert long.result().status_code == 200, long.result().text
            # In the event loop, short calls would wait for the end: one could be answered between the two clips.
            if answered > 2:
                break


@pytest.mark.usefixtures("models")
def test_the_sound_of_a_call_is_bounded_whatever_is_in_each_clip(model_id: str, tmp_path: Path) -> None:
    with serve(tmp_path, max_call_audio_seconds=10, max_audio_seconds=10) as server, server.client() as client:
        assert predict(client, model_id, *[wav(tone(5.0))] * 2).status_code == 200
        for clip in (wav(tone(5.1)), wav(tone(5.1), kind="FLAC")):
            answer = predict(client, model_id, *[clip] * 2)
            assert answer.status_code == 413
            assert "10 s of sound in one call (SER_MAX_CALL_AUDIO_SECONDS), got 10.2 s" in answer.json()["message"]
        assert heard(client) == 10.0  # none was predicted of those that are too long together


@pytest.mark.usefixtures("models")
def test_what_a_caller_does_not_wait_for_any_more_is_not_computed(model_id: str, tmp_path: Path) -> None:
    request = ser_pb2.PredictRequest(model_id=model_id, clips=[ser_pb2.Clip(audio=long_clip())] * 2)
    with serve(tmp_path) as server, server.client() as client, server.stub() as stub:
        calls = [stub.Predict.future(request) for _ in range(20)]
        for call in calls:
            call.cancel()
        with contextlib.suppress(httpx.TimeoutException):  # an HTTP caller that hangs up
            predict(client, model_id, *[long_clip()] * 2, timeout=0.1)
        assert predict(client, model_id, long_clip(100)).status_code == 200  # in its turn after all these
        assert heard(client) < 10 * 2 * 590


@pytest.mark.usefixtures("models")
def test_a_call_that_is_computed_ends_with_its_caller(model_id: str, tmp_path: Path) -> None:
    clips, seconds = 60, 19
    request = ser_pb2.PredictRequest(model_id=model_id, clips=[ser_pb2.Clip(audio=long_clip(seconds))] * clips)
    with serve(tmp_path) as server, server.client() as client, server.stub() as stub:
        before = heard(client)
        call = stub.Predict.future(request)
        for _ in tries():
            if heard(client) > before:
                break
        assert call.cancel()  # in the middle of its clips
        assert predict(client, model_id, long_clip(100)).status_code == 200  # in its turn after that
        assert heard(client) < before + clips * seconds


def heard(client: httpx.Client) -> float:
    """Seconds of sound that were predicted so far."""
    found = re.search(r"^ser_audio_seconds_total (\S+)", client.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_a_call_ends_at_the_deadline_of_the_setting_whatever_it_waits_for(models: Path, tmp_path: Path) -> None:
    with serve(tmp_path, max_call_seconds=1) as server, server.client() as client:
        with filelock.FileLock(models / ".other.lock"):
            began = time.monotonic()
            answer = client.delete("/models/other")  # its caller has patience
            assert answer.status_code in (503, 504), answer.text
            assert "other" in answer.json()["message"]
            assert time.monotonic() - began < LOCK_SECONDS / 2  # how long a lock is waited for where a call may be long
        assert client.delete("/models/other").status_code == 200


def test_a_model_whose_lock_is_held_holds_up_no_other_and_is_told_by_name(
    models: Path, model_id: str, tmp_path: Path
) -> None:
    clip = long_clip(100)  # computed in the thread
    with serve(tmp_path) as server, server.client() as client, ThreadPoolExecutor(8) as pool:
        with filelock.FileLock(models / ".other.lock"):
            headers = {"x-request-timeout": "10"}
            stuck = [pool.submit(client.delete, "/models/other", headers=headers) for _ in range(8)]
            for _ in range(5):
                assert {one["model_id"] for one in client.get("/models").json()["models"]} == {model_id, "other"}
                assert predict(client, model_id, clip).status_code == 200
                answer = client.delete("/models/other", headers={"x-request-timeout": "0.1"})
                assert answer.status_code in (503, 504)
                assert "other" in answer.json()["message"]
            assert not any(call.done() for call in stuck)
            waited = [call.result(60) for call in stuck]
        assert {answer.status_code for answer in waited} <= {503, 504}
        locked = [answer for answer in waited if answer.status_code == 503]
        assert ".other.lock" in locked[0].json()["message"]
        assert locked[0].headers["retry-after"] == "1"
        assert client.delete("/models/other").status_code == 200  # once the lock is free


def test_a_manifest_that_cannot_be_read_holds_up_nothing(models: Path, model_id: str, tmp_path: Path) -> None:
    for number in range(3):
        (models / f"hung-{number}").mkdir()
        os.mkfifo(models / f"hung-{number}" / "manifest.json")  # whoever opens it waits for ever
    with serve(tmp_path) as server, server.client() as client:
        for _ in range(2):
            found = client.get("/models", headers={"x-request-timeout": "30"})
            assert found.status_code == 200, found.text
            assert {one["model_id"] for one in found.json()["models"]} == {model_id, "other"}
        for number in range(3):
            answer = client.get(f"/models/hung-{number}", headers={"x-request-timeout": "1"})
            assert answer.status_code in (500, 504), answer.text
            assert f"hung-{number}" in answer.json()["message"]
        assert predict(client, model_id, long_clip(100)).status_code == 200
        assert client.get(f"/models/{model_id}").status_code == 200
        assert server.stop() == 0  # threads that hang do not hold up the end


class Dripping:
    """A call whose body does not come to its end."""

    def __init__(self, server: Server, body: bytes, announced: int) -> None:
        host, port = server.http.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)))
        self.socket.settimeout(60)
        head = f"POST /predict HTTP/1.1\r\nhost: {host}:{port}\r\ncontent-type: audio/wav\r\n"
        self.socket.sendall(f"{head}content-length: {announced}\r\nexpect: 100-continue\r\n\r\n".encode())
        assert self.socket.recv(100).startswith(b"HTTP/1.1 100")  # the body is waited for
        self.socket.sendall(body)


@contextlib.contextmanager
def dripping(server: Server, body: bytes, announced: int) -> Iterator[Dripping]:
    call = Dripping(server, body, announced)
    with call.socket:
        yield call


@pytest.mark.usefixtures("models")
def test_bytes_on_their_way_are_bounded_and_the_first_of_them_give_way(model_id: str, tmp_path: Path) -> None:
    most = 1 << 20
    clip = wav(tone(17.0))  # 544 kB, more than half
    with serve(tmp_path, max_message_bytes=most, max_bytes_in_flight=most) as server, server.client() as client:
        with dripping(server, b"\0" * 300_000, most) as slow:
            assert predict(client, model_id, clip).status_code == 200  # there is room for both
            slow.socket.sendall(b"\0" * 400_000)
            for _ in tries():
                if predict(client, model_id, clip).status_code != 429:  # until what was sent has come
                    break
            answer = slow.socket.recv(10_000)
            assert answer.startswith(b"HTTP/1.1 429"), answer
            assert b"SER_MAX_BYTES_IN_FLIGHT" in answer
            assert b"retry-after: 1" in answer
        # What was counted is given back, however a call ended.
        for _ in range(5):
            with dripping(server, b"\0" * 700_000, most):
                pass
        assert predict(client, model_id, clip).status_code == 200


def test_one_message_must_have_room() -> None:
    assert Settings(max_message_bytes=2_048, max_bytes_in_flight=2_048).max_bytes_in_flight == 2_048
    with pytest.raises(ValueError, match="max_bytes_in_flight: expected at least max_message_bytes"):
        Settings(max_message_bytes=2_048, max_bytes_in_flight=2_047)


def test_messages_of_grpc_are_counted_until_their_call_ends(adaptive: Bundle, tmp_path: Path) -> None:
    most, model_id = 1 << 20, adaptive.manifest.model_id
    shutil.copytree(adaptive.folder, tmp_path / "models" / model_id)
    (tmp_path / "models" / ".speakers").mkdir()
    audio = wav(tone(17.0))
    with (
        serve(tmp_path, max_message_bytes=most, max_bytes_in_flight=most) as server,
        server.stub() as stub,
        filelock.FileLock(tmp_path / "models" / ".speakers" / f".{model_id}.lock") as held,
        ThreadPoolExecutor(1) as pool,
    ):
        large = ser_pb2.PredictRequest(model_id=model_id, audio=audio)
        assert stub.Predict(large).prediction
        enrolment = ser_pb2.EnrollSpeakerRequest(model_id=model_id, speaker="anna", clips=[audio])
        enrolling = pool.submit(stub.EnrollSpeaker, enrolment)
        for _ in tries():  # until the enrolment has come, and holds the room that a large call wants
            if enrolling.done():  # it met a large call, and was refused itself
                assert "SER_MAX_BYTES_IN_FLIGHT" in str(enrolling.exception())
                enrolling = pool.submit(stub.EnrollSpeaker, enrolment)
            try:
                stub.Predict(large)
            except grpc.RpcError as error:
                failed = error
                if not enrolling.done():
                    break
        assert failed.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # type: ignore[attr-defined]
        assert "SER_MAX_BYTES_IN_FLIGHT" in str(failed)
        assert stub.Predict(ser_pb2.PredictRequest(model_id=model_id, audio=wav(tone(1.0)))).prediction
        held.release()
        assert enrolling.result(60).enrolled_clips == 1
        assert stub.Predict(large).prediction


@pytest.mark.usefixtures("models")
def test_models_in_memory_are_bounded(model_id: str, tmp_path: Path, sample: str) -> None:
    with serve(tmp_path, max_loaded_models=1) as server, server.client() as client:
        for name in (model_id, "other", model_id):
            answer = client.post("/predict", json={"model_id": name, "sample_name": sample})
            assert answer.status_code == 200, answer.text
            assert "ser_models_loaded 1.0" in client.get("/metrics").text
