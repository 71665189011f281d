"""By which names the server may be called, and whose pages may call it."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import pytest

from ser.bundles.bundle import Bundle
from ser.errors import ConfigError, ForbiddenError
from ser_inference_server.gateway.origins import Origins, served_names
from tests.inference_server.harness import Server, serve
from tests.inference_server.test_security import refused

SERVED = (
    "ser.example.org, Other.example:8080, https://tls.example.org, https://odd.example:8443, *.svc.cluster.local,"
    "[fd00::7]"
)
LOCAL = ("10.1.2.3", 5000)

HOSTS = {
    "localhost": True,
    "localhost:5000": True,
    "LOCALHOST.:1": True,
    "a.localhost:5000": True,
    "127.0.0.1:5000": True,
    "127.9.9.9": True,
    "[::1]:5000": True,
    "[::ffff:127.0.0.1]:5000": True,
    "10.1.2.3:5000": True,
    "10.1.2.3": True,
    "listening.example:5000": True,
    "ser.example.org": True,
    "SER.Example.Org.:1234": True,
    "other.example:8080": True,
    "tls.example.org": True,
    "odd.example:8443": True,
    "ser.team.svc.cluster.local:5000": True,
    "[fd00::7]:5000": True,
    "[FD00:0::7]": True,
    "evil.example:5000": False,
    "evil-localhost": False,
    "localhost.evil.example": False,
    "notlocalhost": False,
    "127.0.0.1.evil.example": False,
    "128.0.0.1": False,
    "10.1.2.4:5000": False,
    "0.0.0.0:5000": False,
    "[::2]": False,
    "[fd00::8]": False,
    "x.ser.example.org": False,
    "xser.example.org": False,
    "other.example": False,
    "other.example:8081": False,
    "odd.example": False,
    "svc.cluster.local": False,
    "evil-svc.cluster.local": False,
    "2130706433": False,
    "0x7f.1": False,
}
MALFORMED = [
    "", " ", "localhost:", "localhost:0", "localhost:65536", "localhost:x", "localhost:5000:1", "a..b", ".a", "[::1",
    "[::1]x", "::1", "[1.2.3]", "user@localhost", "localhost/", "localhost,localhost", "http://localhost",
    "lo\xdfcal", "localhost\t", "%6cocalhost",
]  # fmt: skip

ORIGINS = [
    ("localhost:5000", "http://localhost:5000", True),
    ("localhost:5000", "HTTP://LOCALHOST:5000", True),
    ("localhost", "http://localhost:80", True),
    ("localhost:80", "http://localhost", True),
    ("[::1]:5000", "http://[0::1]:5000", True),
    ("tls.example.org", "https://tls.example.org", True),
    ("tls.example.org:443", "https://tls.example.org", True),
    ("odd.example:8443", "https://odd.example:8443", True),
    ("localhost:5000", "https://localhost:5000", False),
    ("localhost:5000", "ws://localhost:5000", False),
    ("localhost:5000", "http://localhost:5001", False),
    ("localhost:5000", "http://localhost", False),
    ("localhost:5000", "http://127.0.0.1:5000", False),
    ("localhost:5000", "http://evil.example:5000", False),
    ("localhost:5000", "http://a.localhost:5000", False),
    ("localhost:5000", "null", False),
    ("localhost:5000", "", False),
    ("localhost:5000", "localhost:5000", False),
    ("localhost:5000", "://localhost:5000", False),
    ("localhost:5000", "http://localhost:5000/", False),
    ("localhost:5000", "http://localhost:5000 http://localhost:5000", False),
    ("localhost:5000", "http://user@localhost:5000", False),
    ("localhost:5000", "file://", False),
    ("tls.example.org", "http://tls.example.org", False),
    ("tls.example.org", "https://tls.example.org:444", False),
    ("ser.example.org", "https://ser.example.org", False),
]


def check(*headers: tuple[str, str], scheme: str = "http", version: str = "1.1") -> None:
    origins = Origins("listening.example", SERVED)
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    for _ in range(2):  # what was taken once is remembered
        origins.check(raw, scheme, LOCAL, version)


@pytest.mark.parametrize(("host", "taken"), HOSTS.items())
def test_the_server_knows_its_names(host: str, taken: bool) -> None:
    if taken:
        check(("host", host))
        return
    with pytest.raises(ForbiddenError, match="host: this server is not called .* SER_SERVED_NAMES"):
        check(("host", host), ("origin", f"http://{host}"))


@pytest.mark.parametrize("host", MALFORMED)
def test_a_malformed_host_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="host: expected a name or an address"):
        check(("host", host))


@pytest.mark.parametrize(("host", "origin", "taken"), ORIGINS)
def test_a_page_must_be_of_this_server(host: str, origin: str, taken: bool) -> None:
    if taken:
        check(("host", host), ("origin", origin))
        check(("origin", origin), ("host", host), scheme="ws")
        return
    with pytest.raises(ForbiddenError, match="origin: calls from pages of"):
        check(("host", host), ("origin", origin))


def test_with_tls_a_page_is_of_https() -> None:
    for scheme in ("https", "wss"):
        check(("host", "localhost:5000"), ("origin", "https://localhost:5000"), scheme=scheme)
        check(("host", "localhost"), ("origin", "https://localhost:443"), scheme=scheme)
        with pytest.raises(ForbiddenError, match="origin"):
            check(("host", "localhost:5000"), ("origin", "http://localhost:5000"), scheme=scheme)


def test_each_comes_once() -> None:
    with pytest.raises(ConfigError, match="host: expected once, came several times"):
        check(("host", "localhost"), ("host", "localhost"))
    with pytest.raises(ForbiddenError, match="origin: expected at most once"):
        check(("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://localhost"))


def test_only_http_1_0_may_leave_the_host_away() -> None:
    check(version="1.0")
    with pytest.raises(ConfigError, match="host: mandatory, and missing"):
        check()
    with pytest.raises(ConfigError, match="host: mandatory, and missing"):
        check(("origin", "http://localhost"), version="1.0")
    with pytest.raises(ForbiddenError, match="not called evil"):
        check(("host", "evil.example"), version="1.0")


def test_what_was_taken_on_one_address_is_not_taken_on_another() -> None:
    origins = Origins("", "")
    headers = [(b"host", b"10.1.2.3:5000")]
    origins.check(headers, "http", ("10.1.2.3", 5000), "1.1")
    origins.check(headers, "http", ("::ffff:10.1.2.3", 5000), "1.1")
    with pytest.raises(ForbiddenError):
        origins.check(headers, "http", ("10.9.9.9", 5000), "1.1")


@pytest.mark.parametrize(
    "entry", ["a b", "ftp://a.example", "https://", "a.example/path", "*", "*.", "a..b", "a:0", "a.*.b"]
)
def test_a_name_that_is_none_is_refused_at_start(entry: str) -> None:
    with pytest.raises(ValueError, match="expected names as"):
        served_names(f"good.example,{entry}")


def test_a_name_that_is_none_is_refused_by_its_setting(tmp_path: Path) -> None:
    assert "SER_SERVED_NAMES" in refused(tmp_path, served_names="https://a.example/path")


EVIL = "evil.example:5000"
HANDSHAKE = (
    "upgrade: websocket",
    "connection: upgrade",
    "sec-websocket-version: 13",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
)


def ask(server: Server, line: str, *headers: str, body: str = "") -> tuple[int, dict[str, object]]:
    """Status and JSON of the answer to a request whose headers are exactly these."""
    host, port = server.http.removeprefix("http://").split(":")
    length = f"content-length: {len(body)}\r\n" if body else ""
    head = f"{line} HTTP/1.1\r\n" + "".join(f"{header}\r\n" for header in headers) + length
    with socket.create_connection((host, int(port)), 20) as connection:
        connection.sendall(
            f"{head}connection: {'upgrade' if 'upgrade:' in head else 'close'}\r\n\r\n{body}".encode("latin-1")
        )
        answer = b""
        for chunk in iter(lambda: connection.recv(65_536), b""):
            answer += chunk
            if b"HTTP/1.1 101" in answer:
                break
    status, content = int(answer.split(b" ", 2)[1]), answer.partition(b"\r\n\r\n")[2]
    return status, json.loads(content) if content.startswith(b"{") else {}


def test_a_page_that_was_made_to_lead_here_can_do_nothing(bundle: Bundle, tmp_path: Path) -> None:
    """DNS rebinding: the name is the page's, the connection comes here."""
    model_id = bundle.manifest.model_id
    shutil.copytree(bundle.folder, tmp_path / "models" / model_id)
    with serve(tmp_path, served_names="ser.example.org:5000") as server:
        train = json.dumps(server.request())
        calls = [
            ("GET /models", (), ""),
            (f"GET /models/{model_id}", (), ""),
            (f"GET /models/{model_id}/report", (), ""),
            (f"DELETE /models/{model_id}", (), ""),
            ("POST /predict", ("content-type: application/json",), '{"model_id": "x", "sample_name": "y"}'),
            ("POST /train", ("content-type: text/plain",), train),
            ("POST /jobs", ("content-type: application/json",), train),
            ("GET /jobs", (), ""),
            ("GET /metrics", (), ""),
            ("GET /", (), ""),
            ("GET /openapi.json", (), ""),
            ("GET /healthz", (), ""),
            ("GET /readyz", (), ""),
            ("GET /predict/stream", HANDSHAKE, ""),
        ]
        for line, headers, body in calls:
            for more in ((f"host: {EVIL}",), (f"host: {EVIL}", f"origin: http://{EVIL}")):
                status, error = ask(server, line, *more, *headers, body=body)
                assert (status, error.get("code")) == (403, 7), line
                assert "SER_SERVED_NAMES" in str(error["message"])
            twice = ("host: localhost", "host: localhost")
            assert ask(server, line, *twice, *headers, body=body)[0] == 400, line
            origins = ("host: localhost", "origin: http://localhost", "origin: http://localhost")
            assert ask(server, line, *origins, *headers, body=body)[0] in (400, 403), line
            assert ask(server, line, "host: localhost", "origin:", *headers, body=body)[0] == 403, line
            assert ask(server, line, "host:", *headers, body=body)[0] == 400, line
            assert ask(server, line, *headers, body=body)[0] == 400, line
        with server.client() as client:
            assert client.get("/jobs").json()["jobs"] == []
            assert [model["model_id"] for model in client.get("/models").json()["models"]] == [model_id]
        for name in ("localhost", "127.0.0.1:5000", "ser.example.org:5000"):
            assert ask(server, "GET /models", f"host: {name}", f"origin: http://{name}")[0] == 200
            assert ask(server, "GET /predict/stream", f"host: {name}", f"origin: http://{name}", *HANDSHAKE)[0] == 101
