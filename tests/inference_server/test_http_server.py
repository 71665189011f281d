"""Connections and heads of requests: what is refused before it is a call, and that the refusal arrives."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ser_inference_server.http_server import MAX_HEAD_BYTES, MAX_HEADERS
from tests.deadlines import tries
from tests.inference_server.harness import Server, serve

SAFE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@contextlib.contextmanager
def connection(server: Server) -> Iterator[socket.socket]:
    host, port = server.http.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 20) as opened:
        yield opened


def read(opened: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of what comes until the other side closes."""
    content = b"".join(iter(lambda: opened.recv(65_536), b""))
    head, _, body = content.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in lines), body


def test_a_surplus_connection_gets_its_answer_whatever_it_sends(tmp_path: Path) -> None:
    body = b"x" * (3 << 20)
    with serve(tmp_path, max_connections=1) as server, server.client() as client:
        client.get("/readyz")
        for sent in (
            b"",
            b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n",
            b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(body) + body,
        ):
            for _ in range(40):  # more than may linger at once: those that have hung up leave their places
                with connection(server) as opened:
                    opened.sendall(sent)  # a broken pipe, if the server had closed
                    opened.sendall(sent[:1])
                    status, headers, answer = read(opened)
                assert (status, headers["retry-after"], headers["connection"]) == (429, "1", "close")
                assert json.loads(answer)["code"] == 8
                assert "SER_MAX_CONNECTIONS" in json.loads(answer)["message"]
                assert headers.items() >= SAFE.items()
        assert client.get("/readyz").status_code == 200


def test_one_address_cannot_have_all_connections(tmp_path: Path) -> None:
    with serve(tmp_path, max_connections_per_caller=2) as server, connection(server) as one, connection(server) as two:
        for opened in (one, two):
            opened.sendall(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert opened.recv(1_000).startswith(b"HTTP/1.1 200")
        with connection(server) as three:
            status, _, answer = read(three)
        assert (status, "SER_MAX_CONNECTIONS_PER_CALLER" in json.loads(answer)["message"]) == (429, True)
        one.close()
        for _ in tries():  # the server sees it in a moment
            with connection(server) as four:
                four.sendall(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                if read(four)[0] == 200:
                    break


def test_those_that_linger_are_bounded(tmp_path: Path) -> None:
    with serve(tmp_path, max_connections=1) as server, server.client() as client, contextlib.ExitStack() as held:
        client.get("/readyz")
        surplus = [held.enter_context(connection(server)) for _ in range(150)]
        for opened in surplus:
            opened.settimeout(20)
            assert read(opened)[0] == 429  # the other side ends by itself
        for opened in surplus:
            with contextlib.suppress(OSError):
                for _ in tries():  # until the server has closed: then nobody takes it any more
                    opened.sendall(b"x" * 65_536)
        assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * (MAX_HEAD_BYTES - 200) + b"\r\n\r\n", 200),
        (b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n", 431),
        (b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * (20 << 20), 431),
        (b"GET /" + b"a" * (20 << 20), 431),
        (b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n" + b"x: y\r\n" * (MAX_HEADERS - 1) + b"\r\n", 200),
        (b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n" + b"x: y\r\n" * MAX_HEADERS + b"\r\n", 431),
        (b"GET /readyz\r\n\r\n", 400),
        (b"GET /readyz HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx", 400),
        (b"GET /readyz HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET /readyz HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
        (b"GET /readyz HTTP/1.1\r\nhost : localhost\r\n\r\n", 400),
        (b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nx: a\r\n b\r\n\r\n", 400),
        (b"BREW /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        (b"CONNECT localhost:1 HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        (b"TRACE /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", 405),
    ],
)  # fmt: skip
def test_a_head_is_bounded_and_the_answer_is_json(server: Server, head: bytes, status: int) -> None:
    with connection(server) as opened:
        with contextlib.suppress(ConnectionError):  # of one that goes on past what is discarded
            opened.sendall(head)
        if status == 200:
            assert opened.recv(1_000).startswith(b"HTTP/1.1 200")
            return
        try:
            found, headers, body = read(opened)
        except ConnectionError:
            assert len(head) > 10 << 20  # of more than is discarded
            return
    assert found == status
    assert headers["content-type"] == "application/json"
    assert headers["content-security-policy"] == POLICY
    assert headers.items() >= SAFE.items()
    assert json.loads(body)["code"] == (8 if status == 431 else 3)


def test_every_answer_has_its_policy(server: Server, model_id: str) -> None:
    with server.client() as client:
        for path in ("/models", f"/models/{model_id}", "/jobs", "/healthz", "/readyz", "/metrics", "/openapi.json",
                     "/nothing", "/predict", "/predict/stream"):  # fmt: skip
            headers = client.get(path).headers
            assert headers["content-security-policy"] == POLICY, path
            assert headers.items() >= SAFE.items(), path
        page = client.get("/")
    policy = page.headers["content-security-policy"]
    assert policy.startswith(f"{POLICY}; style-src 'unsafe-inline'; connect-src 'self'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.partition("script-src")[2]
    assert page.text.count("<script") == 1
    assert "<link" not in page.text
    assert not [name for name in ("onclick", "onload", "onerror") if f" {name}=" in page.text]


def test_a_report_can_do_nothing(server: Server, model_id: str) -> None:
    with server.client() as client:
        answer = client.get(f"/models/{model_id}/report")
    assert answer.status_code == 200
    policy = f"{POLICY}; style-src 'unsafe-inline'; img-src data:; sandbox"
    assert answer.headers["content-security-policy"] == policy
    assert answer.headers.items() >= SAFE.items()


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "0", "-inf", "1e400", "soon", ""])
def test_a_deadline_that_is_none_is_named(server: Server, seconds: str) -> None:
    with server.client() as client:
        answer = client.get("/models", headers={"x-request-timeout": seconds})
    assert (answer.status_code, answer.json()["code"]) == (400, 3)
    assert "x-request-timeout: expected seconds" in answer.json()["message"]


def test_a_verb_that_is_not_taken_is_the_caller_s_error(server: Server) -> None:
    with server.client() as client:
        for verb, path, allowed in (
            ("PUT", "/models", "GET"),
            ("GET", "/predict", "POST"),
            ("POST", "/healthz", "GET, HEAD"),
        ):
            answer = client.request(verb, path)
            assert (answer.status_code, answer.json()["code"], answer.headers["allow"]) == (405, 3, allowed)
        answer = client.get("/predict/stream")
        assert (answer.status_code, answer.json()["code"], answer.headers["upgrade"]) == (426, 3, "websocket")
