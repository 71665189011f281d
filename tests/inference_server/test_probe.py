"""The container's probe: what it says of a server that answers this or that, or not at all."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.inference_server.harness import Server, serve
from tests.inference_server.test_security import certificate


def probe(port: int, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SER_HTTP_PORT": str(port), **settings}
    command = [sys.executable, "-m", "ser_inference_server.health"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104
def test_a_server_that_takes_calls_is_healthy(server: Server, host: str, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("secret\n")  # what a container that listens everywhere has to have
    done = probe(int(server.http.rpartition(":")[2]), SER_HOST=host, SER_TOKEN_FILE=str(tmp_path / "tokens"))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("mutual", [False, True])
def test_a_server_behind_tls_is_asked_by_tls_and_with_its_own_certificate_where_it_wants_one(
    mutual: bool, tmp_path: Path
) -> None:
    for name, issuer in (("ca", None), ("server", "ca")):
        certificate(tmp_path, name, issuer)
    files = {"tls_cert": tmp_path / "server.pem", "tls_key": tmp_path / "server.key"}
    if mutual:
        files["tls_client_ca"] = tmp_path / "ca.pem"
    with serve(tmp_path / "home", **files) as server:
        settings = {f"SER_{name.upper()}": str(path) for name, path in files.items()}
        done = probe(int(server.http.rpartition(":")[2]), **settings)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False), (404, False), (500, False)])
def test_only_200_is_healthy(status: int, healthy: bool) -> None:
    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 418)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as answering:
        threading.Thread(target=answering.handle_request, daemon=True).start()
        done = probe(answering.server_port)
    assert done.returncode == (0 if healthy else 1)
    assert done.stderr.strip() == ("" if healthy else f"127.0.0.1:{answering.server_port}: {status}")


def test_nobody_there_is_not_healthy() -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as free:
        port = free.server_port
    done = probe(port)
    assert done.returncode == 1
    assert f"127.0.0.1:{port}: " in done.stderr
    assert done.stderr.count("\n") == 1
