"""What attackers send: no crash, no answer of 500, memory bounded, and the next call is served."""

from __future__ import annotations

import http.server
import io
import os
import socket
import struct
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.deadlines import tries
from tests.inference_server.harness import Server, serve
from tests.inference_server.test_training import files_of
from tests.signals import tone, wav

HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\n"


def declared(length: int) -> bytes:
    """A WAV whose header promises more than there is."""
    return b"RIFF" + struct.pack("<I", length) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16)


RAW = {
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    "http2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "two lengths": HEAD + b"content-length: 5\r\ncontent-length: 50\r\n\r\nhello",
    "length and chunks": HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "negative length": HEAD + b"content-length: -1\r\n\r\n",
    "length of words": HEAD + b"content-length: many\r\n\r\n",
    "huge length": HEAD + b"content-length: 99999999999999999999\r\n\r\n",
    "broken chunk": HEAD + b"transfer-encoding: chunked\r\n\r\nZZ\r\nhello\r\n",
    "huge chunk": HEAD + b"transfer-encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
    "header without end": HEAD + b"x: " + b"a" * 200_000,
    "many headers": HEAD + b"".join(b"x-%d: y\r\n" % number for number in range(20_000)) + b"\r\n",
    "zero in header": HEAD + b"x: a\0b\r\n\r\n",
    "line folding": HEAD + b"x: a\r\n b\r\n\r\n",
    "smuggled": HEAD + b"content-length: 0\r\n\r\nGET /admin HTTP/1.1\r\nhost: y\r\n\r\n",
    "long path": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    "traversal": b"GET /../../../../etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n",
    "encoded traversal": b"GET /models/%2e%2e%2f%2e%2e%2fetc HTTP/1.1\r\nhost: x\r\n\r\n",
    "encoded zero": b"GET /models/%00 HTTP/1.1\r\nhost: x\r\n\r\n",
    "bad websocket": b"GET /predict/stream HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-key: no\r\nsec-websocket-version: 99\r\n\r\n",
}


@pytest.mark.parametrize("data", RAW.values(), ids=RAW.keys())
def test_bytes_that_are_no_request(server: Server, data: bytes) -> None:
    host, port = server.http.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.settimeout(20)
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(65_536), b""))
        except ConnectionError:
            answer = b""
    assert not answer.startswith(b"HTTP/1.1 5"), answer[:200]
    assert b"root:" not in answer
    with server.client() as client:
        assert client.get("/readyz").status_code == 200


def bomb() -> bytes:
    """A FLAC of an hour of nothing."""
    return wav(np.zeros(16_000 * 3_600), kind="FLAC")


def ones(value: float, subtype: str = "FLOAT") -> bytes:
    return wav(np.full(16_000, value, dtype=np.float64), subtype=subtype)


AUDIO: dict[str, Callable[[], bytes]] = {
    "a gigabyte promised": lambda: declared(1 << 30) + b"data" + struct.pack("<I", 1 << 30) + b"\0" * 100,
    "four gigabytes promised": lambda: declared(0xFFFFFFFE) + b"data" + struct.pack("<I", 0xFFFFFFFE) + b"\0" * 100,
    "rate of 0": lambda: wav(tone()).replace(struct.pack("<I", 16_000), struct.pack("<I", 0), 1),
    "rate of 4 GHz": lambda: wav(tone()).replace(struct.pack("<I", 16_000), struct.pack("<I", 0xFFFFFFFF), 1),
    "rate of 1 Hz": lambda: wav(tone()).replace(struct.pack("<I", 16_000), struct.pack("<I", 1), 1),
    "an hour of nothing": bomb,
    "NaN": lambda: ones(np.nan),
    "infinity": lambda: ones(np.inf),
    "as loud as can be": lambda: ones(1e38, "DOUBLE"),
    "hardly there": lambda: ones(1e-300, "DOUBLE"),
    "one sample": lambda: wav(np.ones(1) * 0.5),
    "200 channels": lambda: wav(np.ones((100, 200)) * 0.5),
    "zip": lambda: b"PK\x03\x04" + b"\0" * 100,
    "junk chunks": lambda: declared(100) + b"LIST" + struct.pack("<I", 0xFFFFFFF0) + b"\0" * 50,
}


ANSWERS: dict[str, tuple[int, str]] = {
    "a gigabyte promised": (400, "cut short: its header promises 1073741824 bytes of samples, it has 100"),
    "four gigabytes promised": (400, "cut short: its header promises 4294967294 bytes of samples, it has 100"),
    "rate of 0": (400, "that can be decoded"),
    "rate of 4 GHz": (400, "a sampling rate of 1000 to 768000 Hz, got 4294967295 Hz"),
    "rate of 1 Hz": (400, "a sampling rate of 1000 to 768000 Hz, got 1 Hz"),
    "an hour of nothing": (413, "at most 20 s, got 3600.0 s (SER_MAX_AUDIO_SECONDS)"),
    "NaN": (400, "finite samples"),
    "infinity": (400, "finite samples"),
    "as loud as can be": (200, ""),
    "hardly there": (400, "silence (every sample is zero)"),
    "one sample": (200, ""),
    "200 channels": (200, ""),
    "zip": (400, "it begins with b'PK"),
    "junk chunks": (400, "it ends before its samples begin"),
}
"""Of each: the status, and words of the message."""


@pytest.mark.parametrize("name", AUDIO)
def test_audio_made_to_hurt(server: Server, model_id: str, name: str) -> None:
    before = memory(server)
    status, words = ANSWERS[name]
    with server.client() as client:
        answer = client.post("/predict", files={"audio": AUDIO[name]()}, data={"model_id": model_id})
    assert answer.status_code == status, answer.text
    if status == 200:
        assert sum(answer.json()["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    else:
        assert answer.json()["message"].startswith("audio: ")
        assert words in answer.json()["message"]
    assert memory(server) - before < 100 << 20


def zip_of(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_zips_made_to_hurt(tmp_path: Path) -> None:
    zips = {
        "bomb.zip": (zip_of({"wav/03a01Fa.wav": b"\0" * (64 << 20)}), "bytes"),
        "many.zip": (zip_of({f"wav/{number}.wav": b"" for number in range(300)}), "300"),
        "out.zip": (zip_of({"../../03a01Fa.wav": wav(tone())}), r"\.\."),
        "large.zip": (os.urandom(3 << 20), "bytes"),
    }
    for name, (content, _) in zips.items():
        (tmp_path / name).write_bytes(content)
    limits = {"max_unpacked_bytes": 32 << 20, "max_corpus_files": 200, "max_download_bytes": 2 << 20}
    with (
        files_of(tmp_path) as url,
        serve(tmp_path / "server", allowed_hosts="127.0.0.1", **limits) as server,
        server.client() as client,
    ):
        for name, (_, says) in zips.items():
            answer = client.post("/train", json=server.request(remote_url=f"{url}/{name}"))
            assert answer.status_code in (400, 413), answer.text
            assert says.replace("\\", "") in answer.json()["message"]
        assert not list(tmp_path.parent.rglob("03a01Fa.wav"))
        assert client.post("/train", json=server.request(remote_url="embedded:?clips=999999999")).status_code in (
            400, 413,
        )  # fmt: skip


def test_a_redirect_into_the_private_network_is_refused(tmp_path: Path) -> None:
    class Redirect(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("location", f"http://localhost:{self.server.server_address[1]}/x.zip")  # type: ignore[str-bytes-safe]
            self.end_headers()

        def log_request(self, code: object = "-", size: object = "-") -> None:  # noqa: ARG002 - as the base has it
            asked.append(self.path)

    asked: list[str] = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Redirect) as redirect:
        threading.Thread(target=redirect.serve_forever, daemon=True).start()
        port = redirect.server_address[1]
        # The first address is allowed by name and port; where it leads is not.
        with serve(tmp_path, allowed_hosts=f"127.0.0.1:{port}") as server, server.client() as client:
            answer = client.post("/train", json=server.request(remote_url=f"http://127.0.0.1:{port}/corpus.zip"))
        redirect.shutdown()
    assert (answer.status_code, answer.json()["code"]) == (403, 7), answer.text
    assert set(asked) == {"/corpus.zip"}  # whether it has changed, which leads away as well


def test_ten_thousand_connections(tmp_path: Path) -> None:
    """Some hundreds at once, again and again: what is refused costs nothing that stays."""
    with serve(tmp_path, max_connections=100) as server:
        host, port = server.http.removeprefix("http://").split(":")
        with server.client() as client:
            client.get("/readyz")
            before = memory(server)
            for _ in range(25):
                held = [socket.create_connection((host, int(port))) for _ in range(400)]
                for connection in held:
                    connection.close()
            assert memory(server) - before < 50 << 20
        for _ in tries():
            try:
                if httpx.get(f"{server.http}/readyz", trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                continue


def memory(server: Server) -> int:
    """Bytes that the server's processes hold."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    total = 0
    for pid in (str(server.process.pid), *children):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1]) << 10
    return total
