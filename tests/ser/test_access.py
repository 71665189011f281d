"""Which addresses may be fetched."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from ser.access import Access
from ser.errors import DownloadError, ForbiddenError
from ser.progress import silent
from ser.sources import open_source

STRICT = Access(schemes=frozenset({"http", "https", "embedded"}), private=False)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
     "::1", "[::1]", "fe80::1", "fd00::1", "::ffff:127.0.0.1", "2002:7f00:1::", "224.0.0.1", "2130706433", "127.1"],
)  # fmt: skip
def test_private_addresses_are_refused_however_they_are_written(host: str) -> None:
    with pytest.raises(ForbiddenError, match="remote_url: .* private address"):
        STRICT.resolve(host, 80)


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
