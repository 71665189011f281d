"""`ser encoder`, on the encoder that `make setup` has fetched, without the network."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ser.encoders import ENCODERS
from ser.encoders.storage import encoder_folder
from tests.ser.cli.test_cli import ser
from tests.signals import tone, wav
from tests.tiny_onnx import graph, model, tensor, tiny_encoder, value

RECORD = ENCODERS["whisper-base"]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of encoders with a copy of the one that is here."""
    shutil.copytree(encoder_folder(RECORD), tmp_path / "encoders" / RECORD.identity)
    monkeypatch.setenv("SER_ENCODER_ROOT", str(tmp_path / "encoders"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return tmp_path / "encoders"


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return ser("encoder", *arguments, cwd=cwd)


def state(cwd: Path) -> str:
    found, small = json.loads(run("list", "--json", cwd=cwd).stdout)
    assert (small["name"], small["state"]) == ("smart-turn", "not here")
    assert (found["name"], found["identity"], found["licence"]) == ("whisper-base", RECORD.identity, "MIT")
    return str(found["state"])


def test_an_encoder_is_listed_verified_and_removed(root: Path, tmp_path: Path) -> None:
    assert state(tmp_path) == "here"
    assert "145 MB" in run("list", cwd=tmp_path).stdout
    assert run("list", "--json", cwd=tmp_path).stdout.startswith("[")
    assert run("verify", cwd=tmp_path).stdout.startswith("whisper-base is whole: ")
    assert run("remove", "whisper-base", cwd=tmp_path).stdout == "removed whisper-base\n"
    assert list(root.glob("[!.]*")) == []
    assert state(tmp_path) == "not here"
    for command, status in (("verify", 4), ("remove", 3)):
        ended = run(command, cwd=tmp_path)
        assert ended.returncode == status
        assert len(ended.stderr.splitlines()) == 1


def test_one_that_is_here_is_not_fetched_again_and_a_damaged_one_is(root: Path, tmp_path: Path) -> None:
    again = run("fetch", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (0, "")
    assert run("fetch", "--force", cwd=tmp_path).returncode == 4  # there is no index
    (root / RECORD.identity / "encoder.tflite").write_bytes(b"damage")
    assert state(tmp_path) == "damaged"
    fetched = run("fetch", cwd=tmp_path)  # there is no index
    assert fetched.returncode == 4
    assert "--from FILE" in fetched.stderr
    assert run("verify", cwd=tmp_path).returncode == 6


def test_a_file_with_other_weights_is_refused(root: Path, tmp_path: Path) -> None:
    shutil.rmtree(root / RECORD.identity)
    (tmp_path / "model.bin").write_bytes(b"no weights")
    ended = run("fetch", "--from", "model.bin", cwd=tmp_path)
    assert ended.returncode == 6
    assert f"model.bin: expected the weights of whisper-base, whose SHA-256 is {RECORD.sha256}" in ended.stderr
    assert run("fetch", "whisper-huge", cwd=tmp_path).returncode == 2
    assert state(tmp_path) == "not here"


def test_training_that_wants_an_encoder_that_is_not_here_fetches_nothing(root: Path, tmp_path: Path) -> None:
    shutil.rmtree(root / RECORD.identity)
    ended = ser("train", "--model-type", "EncoderClassifier", cwd=tmp_path)
    assert ended.returncode == 4
    assert ended.stderr.splitlines()[-1].endswith("get it with: ser encoder fetch whisper-base (145 MB)")
    assert not (tmp_path / "data").exists()


MINE = tiny_encoder()
NAME = f"onnx-{hashlib.sha256(MINE).hexdigest()}"


def listed(cwd: Path) -> list[tuple[str, str, str, int]]:
    found = json.loads(run("list", "--json", cwd=cwd).stdout)[len(ENCODERS) :]
    return [(one["name"], one["state"], one["source"], one["num_bytes"]) for one in found]


def train(cwd: Path, weights: str) -> subprocess.CompletedProcess[str]:
    methods = {"SpeechEncoder": {"weights": weights, "outputs": ["first", 0], "unit_variance": True}}
    return ser(
        "train", "--remote-url", "embedded:?clips=30", "--model-type", "EncoderClassifier", "--json",
        "--dataset-virtual-speakers", "1", "--dataset-feature-extract-methods", json.dumps(methods), cwd=cwd,
    )  # fmt: skip


def told(ended: subprocess.CompletedProcess[str], status: int, words: str) -> None:
    assert ended.returncode == status, ended.stderr
    assert words in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


@pytest.mark.usefixtures("root")
def test_an_onnx_file_is_taken_and_a_model_is_behind_it(tmp_path: Path) -> None:
    (tmp_path / "mine.onnx").write_bytes(MINE)
    told(train(tmp_path, "mine.onnx"), 4, "mine.onnx has not been fetched; get it with: ser encoder fetch mine.onnx")
    assert not (tmp_path / "data").exists()
    fetched = run("fetch", "mine.onnx", cwd=tmp_path)
    assert fetched.stdout.endswith(f"{NAME}; its name is {NAME}\n")
    assert listed(tmp_path) == [(NAME, "here", str(tmp_path / "mine.onnx"), len(MINE))]
    for name in ("mine.onnx", NAME):
        assert run("verify", name, cwd=tmp_path).stdout.startswith(f"{NAME} is whole: ")
    trained = train(tmp_path, "mine.onnx")
    assert trained.returncode == 0, trained.stderr
    (tmp_path / "clip.wav").write_bytes(wav(tone()))
    heard = ser("predict", "clip.wav", "--json", cwd=tmp_path).stdout
    assert json.loads(heard)

    # The model's encoder is the copy that was taken; what is in its place by now is another one.
    (tmp_path / "mine.onnx").write_bytes(tiny_encoder(frames="more"))
    assert ser("predict", "clip.wav", "--json", cwd=tmp_path).stdout == heard
    told(
        train(tmp_path, "mine.onnx"), 4, "mine.onnx is another file than when it was fetched; get it with: ser encoder"
    )

    assert run("remove", NAME, cwd=tmp_path).stdout == f"removed {NAME}\n"
    missing = ser("predict", "clip.wav", cwd=tmp_path)
    told(missing, 4, f"{NAME} is not in ")
    told(missing, 4, f"get it with: ser encoder fetch {NAME} --from FILE")
    told(run("fetch", NAME, "--from", "mine.onnx", cwd=tmp_path), 6, f"mine.onnx: expected the network of {NAME}")
    told(run("fetch", NAME, cwd=tmp_path), 2, "--from: expected one ONNX file, got 0")
    (tmp_path / "again.onnx").write_bytes(MINE)
    assert run("fetch", NAME, "--from", "again.onnx", cwd=tmp_path).returncode == 0
    assert ser("predict", "clip.wav", "--json", cwd=tmp_path).stdout == heard


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    ("content", "status", "why"),
    [
        (tiny_encoder(bad="nan"), 4, "gives numbers that are not finite, by 'last_hidden_state'"),
        (
            model(graph([], [], [value("x", "float32", [1, 2, 3, "n"])])), 2,
            "weights: expected an input of floats, (batch, samples) or (batch, bands, frames), got 'x', float32 of sh",
        ),
    ],
    ids=["nan", "rank"],
)  # fmt: skip
def test_a_graph_that_gives_no_frames_ends_the_training_by_a_line(
    content: bytes, status: int, why: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.onnx").write_bytes(content)
    assert run("fetch", "mine.onnx", cwd=tmp_path).returncode == 0
    told(train(tmp_path, "mine.onnx"), status, why)
    assert not (tmp_path / "models").exists()


def test_a_damaged_onnx_file_is_told_and_taken_again(root: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.onnx").write_bytes(MINE)
    run("fetch", "mine.onnx", cwd=tmp_path)
    (root / NAME / "encoder.onnx").write_bytes(MINE[:-1])
    assert listed(tmp_path)[0][1] == "damaged"
    told(run("verify", NAME, cwd=tmp_path), 6, f"get it again with: ser encoder fetch {NAME} --from FILE")
    assert run("fetch", "mine.onnx", cwd=tmp_path).returncode == 0
    assert listed(tmp_path)[0][1] == "here"


def test_what_is_no_onnx_file_that_can_be_used_is_not_taken(root: Path, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no network")
    (tmp_path / "beside.onnx").write_bytes(model(graph([], [tensor("w", [1.0], external=True)])))
    told(run("fetch", "text.onnx", cwd=tmp_path), 6, "text.onnx is no ONNX file that can be used")
    told(run("fetch", "beside.onnx", cwd=tmp_path), 6, "it has weights in another file beside it")
    told(run("fetch", "nowhere.onnx", cwd=tmp_path), 3, "nowhere.onnx: there is no such file")
    assert listed(tmp_path) == []
    assert not list(root.glob("onnx-*"))


class Hub(BaseHTTPRequestHandler):
    """Hugging Face, as far as one file of it goes."""

    def do_GET(self) -> None:
        known = self.path == "/owner/name/resolve/v1/onnx/model.onnx"
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", str(len(MINE) if known else 0))
        self.end_headers()
        if known:
            self.wfile.write(MINE)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
        yield
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("root", "hub")
def test_an_onnx_file_comes_from_hugging_face_or_from_a_file_that_was_brought_of_it(tmp_path: Path) -> None:
    source = "hf://owner/name@v1/onnx/model.onnx"
    assert run("fetch", source, cwd=tmp_path).stdout.endswith(f"its name is {NAME}\n")
    assert listed(tmp_path) == [(NAME, "here", source, len(MINE))]
    assert run("verify", source, cwd=tmp_path).returncode == 0
    told(run("fetch", "hf://owner/name/onnx/model.onnx", cwd=tmp_path), 4, "the server answered 404")
    told(run("fetch", "hf://owner/../model.onnx", cwd=tmp_path), 2, "name: expected hf://owner/name/file.onnx, got")
    (tmp_path / "brought.onnx").write_bytes(MINE)
    run("fetch", "hf://owner/name/model.onnx", "--from", "brought.onnx", cwd=tmp_path)
    assert listed(tmp_path) == [(NAME, "here", f"hf://owner/name/model.onnx, {source}", len(MINE))]
