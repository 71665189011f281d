"""Sources against a real HTTP server on loopback."""

from __future__ import annotations

import io
import socket
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ser.errors import ConfigError, DownloadError, LimitError, SerError
from ser.progress import Progress, silent
from ser.sources import http, open_source
from ser.sources.embedded import EMBEDDED_CLIPS, EmbeddedSource
from ser.sources.http import HttpSource
from ser.sources.local import FileSource
from ser.synthesis import CLIP_BYTES

CONTENT = bytes(range(256)) * 4_000


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    failures = 0

    def do_GET(self) -> None:
        match self.path:
            case "/ok":
                self._answer(200, CONTENT)
            case "/moved":
                self.send_response(302)
                self.send_header("Location", "/ok")
                self.send_header("Content-Length", "0")
                self.end_headers()
            case "/short":
                self.send_response(200)
                self.send_header("Content-Length", str(len(CONTENT)))
                self.end_headers()
                self.wfile.write(CONTENT[:1000])
                self.close_connection = True
            case "/unknown-length":
                self.send_response(200)
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(CONTENT)
                self.close_connection = True
            case "/once-busy":
                Handler.failures += 1
                self._answer(503 if Handler.failures == 1 else 200, CONTENT)
            case "/loop":
                self.send_response(302)
                self.send_header("Location", "/loop")
                self.send_header("Content-Length", "0")
                self.end_headers()
            case _:
                self._answer(404, b"nothing here")

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that had enough hangs up: that is what some tests are about."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with Server(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same tries, without the pauses between them."""
    monkeypatch.setattr(http, "_RETRY", http._RETRY.new(backoff_factor=0))


def fetch(url: str, tmp_path: Path, max_bytes: int = 10**9) -> bytes:
    open_source(url).fetch(tmp_path / "out", max_bytes=max_bytes, report=silent)
    return (tmp_path / "out").read_bytes()


@pytest.mark.parametrize("path", ["/ok", "/moved", "/unknown-length", "/once-busy"])
def test_the_content_comes_whole(server: str, path: str, tmp_path: Path) -> None:
    assert fetch(server + path, tmp_path) == CONTENT


def test_progress_ends_at_the_announced_total(server: str, tmp_path: Path) -> None:
    told: list[Progress] = []
    open_source(f"{server}/ok").fetch(tmp_path / "out", max_bytes=10**9, report=told.append)
    assert (told[-1].done, told[-1].total) == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("/missing", DownloadError, "expected a zip, the server answered 404 Not Found"),
        ("/short", DownloadError, "the download was cut short"),
        ("/loop", DownloadError, "no usable answer after several tries: too many redirects"),
    ],
)
def test_what_does_not_come_whole_is_an_error_that_names_the_address(
    server: str, path: str, error: type[SerError], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=f"{server}{path}: .*{message}"):
        fetch(server + path, tmp_path)


@pytest.mark.parametrize("path", ["/ok", "/unknown-length"])
def test_too_much_is_refused_announced_or_not(server: str, path: str, tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="at most 1000 bytes"):
        fetch(server + path, tmp_path, max_bytes=1_000)


def test_passwords_and_tokens_of_an_address_are_never_told(server: str, tmp_path: Path) -> None:
    url = server.replace("http://", "http://user:secret@") + "/missing?token=secret"
    with pytest.raises(DownloadError) as caught:
        fetch(url, tmp_path)
    assert "secret" not in str(caught.value) + str(open_source(url).identity()) + open_source(url).description
    assert f"{server}/missing" in str(caught.value)


def test_an_address_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(DownloadError, match=rf"127\.0\.0\.1:{port}/x\.zip: no usable answer after several tries"):
            fetch(f"http://127.0.0.1:{port}/x.zip", tmp_path)


def test_a_file_is_taken_by_path_and_by_address(tmp_path: Path) -> None:
    source = tmp_path / "a corpus.zip"
    source.write_bytes(CONTENT)
    assert fetch(str(source), tmp_path) == CONTENT
    assert fetch(source.as_uri(), tmp_path) == CONTENT


def test_a_changed_file_is_another_source(tmp_path: Path) -> None:
    source = tmp_path / "a.zip"
    source.write_bytes(b"one")
    before = FileSource(source).identity()
    source.write_bytes(b"three")
    assert FileSource(source).identity() != before


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="nothing.zip: expected a corpus as a zip or a folder, there is no such"):
        fetch(str(tmp_path / "nothing.zip"), tmp_path)


def test_a_folder_is_packed_with_its_recordings_and_tables(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    for name in ("a/1.wav", "a/2.FLAC", "labels.csv", "db.yaml", "a/notes.txt", ".hidden/3.wav"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    packed = fetch(str(folder), tmp_path)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.namelist() == ["a/1.wav", "a/2.FLAC", "db.yaml", "labels.csv"]
        assert archive.read("a/1.wav") == b"a/1.wav"
    assert fetch(folder.as_uri(), tmp_path) == packed
    with pytest.raises(LimitError, match="expected at most 10 bytes"):
        fetch(str(folder), tmp_path, max_bytes=10)
    before = open_source(str(folder)).identity()
    (folder / "a/1.wav").write_text("other")
    assert open_source(str(folder)).identity() != before


def test_the_embedded_corpus_has_a_size_and_a_seed() -> None:
    assert open_source("embedded:") == EmbeddedSource(EMBEDDED_CLIPS, 0)
    assert open_source("embedded:?clips=20&seed=3") == EmbeddedSource(20, 3)
    assert open_source("http://host/x.zip") == HttpSource("http://host/x.zip")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/x.zip",
        "a" * 300,
        "file:///" + "a" * 300,
        "~nobody-of-this-name/x.zip",
        "http://",
        "embedded:?clips=many",
        "embedded:?colour=1",
        "embedded:?clips=-1",
        "gopher:x",
    ],
)
def test_an_address_of_no_known_form_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="^remote_url: expected .*got "):
        open_source(url)


def test_an_embedded_corpus_of_impossible_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="^remote_url: "):
        fetch("embedded:?clips=1", tmp_path)


def test_an_embedded_corpus_that_is_too_large_is_refused_before_it_is_made(tmp_path: Path) -> None:
    message = "20 synthetic clips, seed 0: expected at most 1000000 bytes, it takes about 1500000"
    with pytest.raises(LimitError, match=message):
        fetch("embedded:?clips=20", tmp_path, max_bytes=10**6)
    assert not list(tmp_path.iterdir())
    made = fetch("embedded:?clips=20", tmp_path, max_bytes=1_500_000)
    assert len(made) == pytest.approx(20 * CLIP_BYTES, rel=0.1)
