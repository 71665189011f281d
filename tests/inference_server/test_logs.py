"""The log is JSON, a record a line, whoever writes to standard error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.inference_server.harness import Server, serve
from tests.signals import tone, wav


def run(body: str, style: str = "json") -> tuple[int, list[str]]:
    """Exit status and lines of standard error of a process that logs, and does something meanwhile."""
    code = (
        "import logging, os, sys\nfrom inference_server import logs\n"
        f"logs.configure('info', {style!r})\nwith logs.native_lines():\n    {body}\nlogging.info('after')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr.splitlines()


def test_native_lines_are_records() -> None:
    status, lines = run(r"os.write(2, b'warning: \xff odd\n\nsecond'); logging.info('between')")
    assert status == 0
    records = [json.loads(line) for line in lines]
    native = [record["message"] for record in records if record["logger"] == "native"]
    assert native == ["warning: \\xff odd", "second"]
    assert [record["message"] for record in records if record["logger"] == "root"] == ["between", "after"]


def test_a_flood_of_them_is_bounded_and_holds_nobody_up() -> None:
    status, lines = run(r"[os.write(2, b'x' * 90 + b'\n') for _ in range(100)]; logging.info('between')")
    assert status == 0
    assert len([line for line in lines if json.loads(line)["logger"] == "native"]) <= 60  # 20 of each second
    status, lines = run(r"ctypes = __import__('ctypes'); ctypes.pythonapi.write(2, b'y' * 1_000_000, 1_000_000)")
    assert status == 0  # more than a pipe takes, with nobody reading meanwhile


def test_last_words_are_not_lost() -> None:
    status, lines = run("raise ZeroDivisionError('in vain')")
    assert (status, lines[-1]) == (1, "ZeroDivisionError: in vain")
    status, lines = run("os.abort()")
    assert status < 0
    assert any("Aborted" in line for line in lines)


def test_a_record_for_people_is_one_line() -> None:
    status, lines = run(r"logging.info('a\nb\x1b[31m', extra={'path': 'c\r\nd'})", "text")
    assert status == 0
    assert len(lines) == 2
    assert r"a\x0ab\x1b[31m  path=c\x0d\x0ad" in lines[0]


def assert_json(server: Server) -> None:
    for line in server.log.read_text(encoding="utf-8").splitlines():
        assert isinstance(json.loads(line), dict), line


@pytest.mark.parametrize(("kind", "subtype"), [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("FLAC", "PCM_16")])
def test_damaged_recordings_leave_no_raw_line(server: Server, model_id: str, kind: str, subtype: str) -> None:
    sound = bytearray(wav(tone(3.0), kind=kind, subtype=subtype))
    for start in range(len(sound) // 4, len(sound) - 200, len(sound) // 5):
        sound[start : start + 150] = b"\x55" * 150
    with server.client() as client:
        client.post("/predict", files={"audio": bytes(sound)}, data={"model_id": model_id})
    assert_json(server)


def test_a_training_s_lines_are_json_too(tmp_path: Path) -> None:
    with serve(tmp_path) as server, server.client() as client:
        assert client.post("/train", json=server.request()).status_code == 200
        assert_json(server)
