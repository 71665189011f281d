"""A zip behind HTTP that changed is noticed, whatever its server tells; without the server one goes on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ser.config import parse
from ser.dataset import Dataset
from ser.errors import DownloadError
from ser.request import DownloadConfig
from ser.sources import http, remote_version
from ser.steps.download import download
from ser.synthesis import synthesise_corpus
from tests.object_store import s3_bucket, s3_endpoint

__all__ = ["s3_bucket", "s3_endpoint"]


@dataclass
class Site:
    """What a server has, and what it tells of it."""

    content: bytes = b""
    tells: frozenset[str] = frozenset({"ETag", "Last-Modified", "Content-Length"})
    head: int = 200
    """Status of the answer to HEAD."""
    ranges: bool = True
    number: int = 1
    asked: list[str] = field(default_factory=list)
    status: int = 200

    def headers(self) -> dict[str, str]:
        facts = {"ETag": f'"{self.number}"', "Last-Modified": f"Mon, 0{self.number} Jan 2024 00:00:00 GMT"}
        return {name: value for name, value in facts.items() if name in self.tells}


class Handler(BaseHTTPRequestHandler):
    site: Site
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.site.asked.append("HEAD")
        self._begin(self.site.head if self.site.status == 200 else self.site.status, len(self.site.content))
        self.end_headers()

    def do_GET(self) -> None:
        site = self.site
        if site.status != 200:
            self._begin(site.status, 0)
            self.end_headers()
        elif self.headers.get("Range") == "bytes=0-0" and site.ranges:
            site.asked.append("first byte")
            self._begin(206, 1)
            self.send_header("Content-Range", f"bytes 0-0/{len(site.content)}")
            self.end_headers()
            self.wfile.write(site.content[:1])
        else:
            site.asked.append("first byte" if "Range" in self.headers else "GET")
            self._begin(200, len(site.content))
            self.end_headers()
            self.wfile.write(site.content)

    def _begin(self, status: int, length: int) -> None:
        self.send_response(status)
        for name, value in self.site.headers().items():
            self.send_header(name, value)
        if "Content-Length" in self.site.tells or length <= 1:
            self.send_header("Content-Length", str(length))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Who asks for a byte hangs up."""


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Two corpora as zips: of 14 clips, and of 21."""
    made = []
    for clips in (14, 21):
        path = tmp_path_factory.mktemp("corpus") / "corpus.zip"
        synthesise_corpus(path, clips=clips, seed=1)
        made.append(path.read_bytes())
    return made


@pytest.fixture
def site(corpora: list[bytes]) -> Site:
    return Site(corpora[0])


@pytest.fixture
def address(site: Site) -> Iterator[str]:
    handler = type("Handler", (Handler,), {"site": site})
    with Server(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}/corpus.zip"
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same tries, without the pauses between them."""
    for module in (http, remote_version):
        monkeypatch.setattr(module, "_RETRY", module._RETRY.new(backoff_factor=0))


def clips(folder: Path, address: str) -> int:
    return len(Dataset(folder, address).prepare().clips)


EVERYTHING = frozenset({"ETag", "Last-Modified", "Content-Length"})


@pytest.mark.parametrize(
    ("tells", "head", "ranges"),
    [
        (EVERYTHING, 200, True),
        (frozenset({"ETag"}), 200, True),
        (frozenset({"Last-Modified"}), 200, True),
        (frozenset({"Content-Length"}), 200, True),
        (frozenset({"ETag"}), 405, True),
        (frozenset({"ETag"}), 501, False),
        (frozenset(), 403, True),  # of which the range tells the size
        (frozenset({"Content-Length"}), 404, False),
    ],
    ids=lambda one: "+".join(sorted(one)) if isinstance(one, frozenset) else str(one),
)
def test_a_zip_that_changed_is_fetched_again_and_one_that_did_not_is_not(
    site: Site, address: str, corpora: list[bytes], tells: frozenset[str], head: int, ranges: bool, tmp_path: Path
) -> None:
    site.tells, site.head, site.ranges = tells, head, ranges
    assert clips(tmp_path, address) == 14
    site.asked.clear()
    assert clips(tmp_path, address) == 14
    assert "GET" not in site.asked
    assert len(site.asked) <= 2  # once a run, whatever the number of stages
    site.content, site.number = corpora[1], 2
    assert clips(tmp_path, address) == 21
    assert clips(tmp_path, address) == 21
    assert site.asked.count("GET") == 1


def test_a_new_date_on_the_same_zip_makes_nothing_behind_it_stale(site: Site, address: str, tmp_path: Path) -> None:
    before = Dataset(tmp_path, address).extract()
    site.number = 2
    assert Dataset(tmp_path, address).extract() == before
    assert site.asked.count("GET") == 2


def test_the_step_of_the_pipeline_notices_too(site: Site, address: str, corpora: list[bytes], tmp_path: Path) -> None:
    config = parse(DownloadConfig, {"data_path": str(tmp_path / "data"), "remote_url": address})
    for number, content in enumerate(corpora, 1):
        site.content, site.number = content, number
        download(config, tmp_path / "corpus")
        assert len(list((tmp_path / "corpus" / "files" / "wav").iterdir())) == 7 * (number + 1)


def test_a_corpora_file_that_changed_is_noticed(site: Site, address: str, corpora: list[bytes], tmp_path: Path) -> None:
    for number, content in enumerate(corpora, 1):
        (tmp_path / f"{number}.zip").write_bytes(content)
    address = address.replace("corpus.zip", "corpora.yaml")
    text = "corpora: [{{name: a, url: '{}?clips={}'}}]"
    site.content = text.format("embedded:", 14).encode()
    assert clips(tmp_path, address) == 14
    site.content, site.number = text.format("embedded:", 21).encode(), 2
    assert clips(tmp_path, address) == 21


@pytest.mark.parametrize("status", [404, 500])
def test_where_the_server_does_not_serve_one_goes_on_and_says_so(
    site: Site, address: str, status: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site.status = status
    with pytest.raises(DownloadError, match=f"the server answered {status}"):
        clips(tmp_path, address)
    site.status = 200
    assert clips(tmp_path, address) == 14
    assert caplog.messages == []
    site.status = status
    assert clips(tmp_path, address) == 14
    (message,) = caplog.messages
    assert f"the server answered {status}" in message
    assert "going on with what was fetched before" in message
    with pytest.raises(DownloadError, match=f"the server answered {status}"):
        Dataset(tmp_path, address).download(force=True)


def test_offline_one_goes_on_says_so_once_and_tells_no_secret(
    address: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = address.replace("http://", "http://user:secret@") + "?token=secret"
    assert clips(tmp_path, address) == 14
    caplog.set_level(logging.WARNING)
    with monkeypatch.context() as patch:
        patch.setattr("ser.storage.access.create_connection", refuse)
        assert clips(tmp_path, address) == 14
    (message,) = caplog.messages
    assert "no usable answer after several tries" in message
    assert "secret" not in message


def refuse(*_: object, **__: object) -> None:
    raise ConnectionRefusedError(111, "Connection refused")


def test_where_the_server_tells_nothing_one_goes_on_and_says_so(
    site: Site, address: str, corpora: list[bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site.tells, site.ranges = frozenset(), False
    assert clips(tmp_path, address) == 14
    assert caplog.messages == []
    site.content = corpora[1]
    assert clips(tmp_path, address) == 14
    assert "does not tell whether this has changed" in caplog.messages[0]
    Dataset(tmp_path, address).download(force=True)
    assert clips(tmp_path, address) == 21


def test_a_zip_that_changed_replaces_the_one_in_an_object_store(
    site: Site, address: str, corpora: list[bytes], s3_bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert Dataset(s3_bucket, address).download()[0].read_bytes() == corpora[0]
    monkeypatch.setenv("SER_CACHE_ROOT", str(tmp_path / "another machine"))
    assert Dataset(s3_bucket, address).download()[0].read_bytes() == corpora[0]
    assert site.asked.count("GET") == 1
    site.content, site.number = corpora[1], 2
    assert Dataset(s3_bucket, address).download()[0].read_bytes() == corpora[1]
    monkeypatch.setenv("SER_CACHE_ROOT", str(tmp_path / "a third"))
    site.status = 500
    assert Dataset(s3_bucket, address).download()[0].read_bytes() == corpora[1]
