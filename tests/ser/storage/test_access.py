"""Which addresses may be fetched."""

from __future__ import annotations

import random
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import urllib3

from ser.errors import ConfigError, DownloadError, ForbiddenError, SerError
from ser.progress import silent
from ser.sources import http, open_source
from ser.storage.access import Access, shown_address

STRICT = Access(schemes=frozenset({"http", "https", "embedded"}), private=False)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "::1",
        "[::1]",
        "fe80::1",
        "fd00::1",
        "::ffff:127.0.0.1",
        "2002:7f00:1::",
        "224.0.0.1",
        "2130706433",
        "127.1",
        "0x7f000001",
        "0177.1",
        "0.1.2.3",
        "255.255.255.255",
        "240.0.0.1",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "198.18.0.1",
        "192.0.0.9",
        "192.88.99.1",
        "100.127.255.255",
        "172.31.255.255",
        "::",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "64:ff9b:1::808:808",
        "fec0::1",
        "feff::1",
        "fe80::1%lo",
        "2002:a00:1::1",
        "2001:0:7f00:1::",
        "2001:db8::1",
        "3fff::1",
        "5f00::1",
        "100::1",
        "ff02::1",
        "ff0e::1",
    ],
)
def test_private_addresses_are_refused_however_they_are_written(host: str) -> None:
    with pytest.raises(ForbiddenError, match="remote_url: .* private address"):
        STRICT.resolve(host, 80)


@pytest.mark.parametrize(
    "address",
    [
        "1.0.0.1",
        "9.255.255.255",
        "11.0.0.1",
        "100.63.255.255",
        "100.128.0.1",
        "126.0.0.1",
        "128.0.0.1",
        "169.253.0.1",
        "169.255.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "192.167.0.1",
        "192.169.0.1",
        "198.17.0.1",
        "198.20.0.1",
        "203.0.112.1",
        "223.255.255.1",
        "2606:4700::1",
        "2001:200::1",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::1",
    ],
)
def test_their_neighbours_are_public(address: str) -> None:
    assert STRICT.resolve(address, 80) == [address]


def test_a_name_is_as_private_as_its_most_private_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(host: str, port: int, **_: Any) -> list[Any]:
        assert host == "both.example"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in ("93.184.215.14", "10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with pytest.raises(ForbiddenError, match=r"both\.example is a private address \(or leads to one\)"):
        STRICT.resolve("both.example", 80)


def test_public_addresses_and_listed_hosts_are_taken() -> None:
    assert STRICT.resolve("93.184.215.14", 80) == ["93.184.215.14"]
    listed = Access(private=False, hosts=frozenset({"localhost", "10.1.2.3:8080"}))
    assert "127.0.0.1" in listed.resolve("LOCALHOST", 80)
    assert listed.resolve("10.1.2.3", 8080) == ["10.1.2.3"]
    with pytest.raises(ForbiddenError):
        listed.resolve("10.1.2.3", 80)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "/etc/passwd", "data/corpus.zip"])
def test_schemes_that_are_not_allowed(url: str) -> None:
    with pytest.raises(ForbiddenError, match="file: is not allowed here; allowed: embedded, http, https"):
        open_source(url, STRICT)


def test_a_name_that_answers_differently_the_second_time_gains_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """DNS rebinding: public when it is checked, private when it is connected to."""
    answers = iter(["93.184.215.14", "127.0.0.1"])
    tried: list[Any] = []

    def lookup(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        address = host if host[0].isdigit() else next(answers)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    def connect(_: socket.socket, address: Any) -> None:
        tried.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setattr(socket.socket, "connect", connect)
    source = open_source("http://rebinding.example/corpus.zip", STRICT)
    with pytest.raises(ForbiddenError):
        # The first answer is connected to and refused; the second try is given the private one.
        source.fetch(tmp_path / "corpus.zip", max_bytes=100, report=silent)
    assert {address[0] for address in tried} == {"93.184.215.14"}


def test_a_host_that_is_not_there_is_no_matter_of_permission(tmp_path: Path) -> None:
    source = open_source("http://nowhere.invalid/corpus.zip", Access(private=False))
    source.check()
    with pytest.raises(DownloadError, match="nowhere.invalid"):
        source.fetch(tmp_path / "corpus.zip", max_bytes=100, report=silent)


@pytest.mark.parametrize(
    "host",
    [
        "a..b",
        ".a",
        "a" * 64,
        f"{'a' * 64}.example",
        ".".join(["a" * 63] * 4) + ".aa",
        "a b",
        "a\tb",
        "a\nb",
        "a\0b",
        "\xe9.example",
        "\uff11.0.0.1",
        "\uff0e",
        "\ud800",
        "-a",
        "a-",
        "a%41",
        "a%00b",
        "a\\b",
        "[::1",
        "[::1]x",
        "[v1.a]",
        "[1.2.3]",
        "[fe80::1%lo]",
        "",
        ":80",
        "user@",
        "a:0",
        "a:65536",
        "a:99999",
        "a:-1",
        "a:x",
        "a:b:80",
        "a:\uff18\uff10",
        "us\ner:pw@a",
    ],
)
def test_a_host_that_cannot_be_is_told_of_as_such(host: str) -> None:
    for scheme in ("http", "https", "HTTP"):
        with pytest.raises(ConfigError, match="remote_url: expected ") as error:
            open_source(f"{scheme}://{host}/corpus.zip", STRICT)
        str(error.value).encode()


@pytest.mark.parametrize(
    "host",
    [
        "a",
        "a.b",
        "a.b.",
        "a" * 63,
        f"{'a' * 63}.b",
        "a_b.example",
        "_a",
        "xn--bcher-kva.example",
        "1.2.3.4:65535",
        "a:1",
        "[2606:4700::1]",
        "[2606:4700::1]:8080",
        "a:",
        "user:password@a:80",
    ],
)
def test_a_host_that_can_be_is_taken(host: str) -> None:
    open_source(f"http://{host}/corpus.zip?token=x", STRICT)


def test_no_address_ends_in_anything_but_an_error_of_ser() -> None:
    """A seeded slice of what strangers send."""
    drawn = random.Random(7)
    pieces = [
        "http",
        "https",
        "://",
        ":",
        "/",
        "//",
        "@",
        "?",
        "#",
        "[",
        "]",
        "%",
        "a",
        "b.c",
        "..",
        "-",
        "127.0.0.1",
        "::1",
        ":80",
        ":x",
        " ",
        "\0",
        "\n",
        "\xe9",
        "\ud800",
        "\u2025",
        "xn--",
        "embedded:",
        "clips=3",
        "&",
        "=",
        "\\",
    ]
    for _ in range(3_000):
        address = "".join(drawn.choices(pieces, k=drawn.randint(1, 8)))
        try:
            source = open_source(address, STRICT)
        except SerError as error:
            str(error).encode(errors="surrogatepass")
        else:
            assert source.description
        shown_address(address)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://h/x.zip", "http://h/x.zip"),
        ("https://user:secret@h:8/x.zip?token=secret&b=secret#secret", "https://h:8/x.zip?token=…&b=…"),
        ("https://secret@h/?secret", "https://h/?…"),
        ("http://user:secret@secret@h/x", "http://h/x"),
        ("http://user:sec/secret@h/x", "http:…"),
        ("http://user:sec#secret@h/x", "http:…"),
        ("http://user:sec?secret@h/x", "http:…"),
        ("ftp://user:secret@h/x", "ftp://h/x"),
        ("s3://user:secret@bucket/key", "s3://bucket/key"),
        ("http://h/p@v1.zip", "http://h/p@v1.zip"),
        ("embedded:?clips=3&seed=1", "embedded:?clips=3&seed=1"),
        ("/data/a?b=c", "/data/a?b=c"),
        ("file:///data/a", "file:///data/a"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_its_secrets(address: str, shown: str) -> None:
    assert shown_address(address) == shown


class _Redirect(BaseHTTPRequestHandler):
    location = b""

    def do_GET(self) -> None:
        self.send_response_only(302)
        self._headers_buffer.append(b"location: " + self.location + b"\r\ncontent-length: 0\r\n")  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_no_redirect_ends_in_a_defect_or_tells_a_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(http, "_RETRY", urllib3.Retry(total=1, backoff_factor=0))
    with ThreadingHTTPServer(("127.0.0.1", 0), _Redirect) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        access = Access(private=False, hosts=frozenset({f"127.0.0.1:{port}"}))
        source = open_source(f"http://user:secret@127.0.0.1:{port}/x.zip?token=secret", access)
        for location in (
            b"http://a..b/?secret",
            b"http://" + b"a" * 64 + b"/?secret",
            b"http://[::1",
            b"http://[::1]x/?secret",
            b"//",
            b"gopher://secret@x/?secret",
            b"http://a:99999/?secret",
            b"http://\xc3\xa9.example/?secret",
            b"http://\xff/",
            b"http://%zz/?a=secret",
            b"http://u:secret@127.0.0.1:1/?secret",
            b"/?secret",
            b"http://a\0b/?secret",
            b"http:",
            b"http://[fe80::1%25lo]/?secret",
            b"http://[::127.0.0.1]/?secret",
            b"http://[fec0::1]/?secret",
        ):
            monkeypatch.setattr(_Redirect, "location", location)
            with pytest.raises((DownloadError, ForbiddenError)) as error:
                source.fetch(tmp_path / "x.zip", max_bytes=100, report=silent)
            assert "secret" not in str(error.value), location
        server.shutdown()


@pytest.mark.parametrize("host", ["a..b", "a" * 64, "\ud800"])
def test_what_no_host_can_be_called_is_not_found(host: str) -> None:
    """As a redirect may name it."""
    with pytest.raises(OSError, match="no host can be called"):
        STRICT.resolve(host, 80)
