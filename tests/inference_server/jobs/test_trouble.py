"""The queue's disk is full, its database locked, damaged or newer: calls say so, serving goes on, no job is lost."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ser_inference_server.jobs.errors import NewerQueueError, QueueDamagedError, QueueError
from ser_inference_server.jobs.store import JobStore
from tests.deadlines import tries
from tests.inference_server.harness import Server, serve


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of a few pages."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "ser-test", folder]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a disk that is small enough to be filled: {mounted.stderr.decode()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)  # noqa: S607 - where it is differs


def fill(disk: Path) -> Path:
    """Leaves no byte of a disk."""
    filler = disk / "filler"
    with filler.open("ab") as file, contextlib.suppress(OSError):
        while True:
            os.write(file.fileno(), b"\0" * 512)
    return filler


def locked(home: Path) -> sqlite3.Connection:
    """A connection that keeps everybody else from writing into the queue, until it is closed."""
    path = home / "data" / ".server" / "jobs.sqlite"
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    connection.execute("BEGIN IMMEDIATE")
    return connection


def wait_for(server: Server, words: str) -> None:
    give_up = time.monotonic() + 60
    while not any(words in line["message"] for line in server.logged()):
        assert time.monotonic() < give_up, server.log.read_text()[-2_000:]
        time.sleep(0.02)


def end_of(client: httpx.Client, job_id: str) -> dict[str, Any]:
    give_up = time.monotonic() + 300
    while True:
        job: dict[str, Any] = client.get(f"/jobs/{job_id}").json()
        if job["state"] not in ("QUEUED", "RUNNING"):
            return job
        assert time.monotonic() < give_up, job
        time.sleep(0.1)


def test_a_full_disk_ends_nothing_and_says_why(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "state") as disk,
        serve(tmp_path / "server", workers=1, state_root=disk) as server,
        server.client() as client,
    ):
        filler = fill(disk)
        accepted = []
        for _ in tries():
            refused = client.post("/jobs", json=server.request())
            if refused.status_code != 200:
                break
            accepted.append(refused.json()["job_id"])  # there was room in the database's own pages
        assert refused.status_code == 507, refused.text
        assert "no space left" in refused.json()["message"]
        assert "SER_STATE_ROOT" in refused.json()["message"]
        assert int(refused.headers["retry-after"]) > 0
        assert client.get("/metrics").status_code == 200
        assert client.get("/jobs").status_code == 200
        if accepted:
            wait_for(server, "training jobs")
        assert server.process.poll() is None
        filler.unlink()
        accepted.append(client.post("/jobs", json=server.request(random_state=1)).json()["job_id"])
        for job_id in accepted:
            assert end_of(client, job_id)["state"] == "SUCCEEDED"


def test_a_server_starts_on_a_full_disk_and_runs_jobs_once_it_is_emptied(tmp_path: Path) -> None:
    with small_disk(tmp_path / "state") as disk:
        filler = fill(disk)
        with serve(tmp_path / "server", workers=1, state_root=disk) as server, server.client() as client:
            assert client.get("/readyz").status_code == 200
            assert client.post("/jobs", json=server.request()).status_code == 507
            wait_for(server, "training jobs wait")
            filler.unlink()
            job = client.post("/jobs", json=server.request()).raise_for_status().json()
            assert end_of(client, job["job_id"])["state"] == "SUCCEEDED"


def test_a_lock_on_the_database_holds_up_nothing_but_writers_and_those_not_for_long(tmp_path: Path) -> None:
    with serve(tmp_path, workers=1) as server, server.client() as client:
        first = client.post("/jobs", json=server.request()).json()["job_id"]
        for _ in tries():
            if client.get(f"/jobs/{first}").json()["state"] != "QUEUED":
                break
        locker = locked(tmp_path)
        began = time.monotonic()
        refused = client.post("/jobs", json=server.request())
        assert refused.status_code == 503
        assert "locked" in refused.json()["message"]
        assert refused.headers["retry-after"]
        assert client.get("/jobs").status_code == 200
        assert client.get("/healthz").status_code == 200
        assert 'ser_jobs{state="QUEUED"}' in client.get("/metrics").text
        # The training goes on meanwhile; what came of it waits to be written.
        while not list((tmp_path / "models").glob("*/manifest.json")):
            assert time.monotonic() < began + 60
            time.sleep(0.05)
        assert client.get(f"/jobs/{first}").json()["state"] == "RUNNING"
        assert server.process.poll() is None
        locker.close()
        assert end_of(client, first)["state"] == "SUCCEEDED"


def test_a_caller_who_leaves_while_the_database_is_locked_has_its_job_cancelled_after_all(tmp_path: Path) -> None:
    with serve(tmp_path, workers=1) as server, server.client() as client:
        host = server.http.removeprefix("http://")
        caller = http.client.HTTPConnection(host)
        body = json.dumps(server.request(model_config={"epochs": 50_000}))
        caller.request("POST", "/train", body, {"content-type": "application/json"})
        for _ in tries():
            if (jobs := client.get("/jobs").json()["jobs"]) and jobs[0]["state"] != "QUEUED":
                break
        with contextlib.closing(locked(tmp_path)):
            caller.close()
            wait_for(server, "job of a caller who left is not cancelled yet")
        assert end_of(client, jobs[0]["job_id"])["state"] == "CANCELLED"


def test_a_damaged_queue_is_named(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    path.write_bytes(b"something else" * 1_000)
    with pytest.raises(QueueDamagedError, match=r"jobs\.sqlite in the state folder"):
        JobStore(path)


def test_a_queue_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "jobs.sqlite").mkdir()
    with pytest.raises(QueueError, match=r"jobs\.sqlite in the state folder"):
        JobStore(tmp_path / "jobs.sqlite")


def test_one_queue_is_run_by_one(tmp_path: Path) -> None:
    with serve(tmp_path / "first", state_root=tmp_path / "state"):
        second = subprocess.run(
            [sys.executable, "-m", "inference_server"],
            env={**os.environ, "SER_STATE_ROOT": str(tmp_path / "state"), "SER_HTTP_PORT": "0", "SER_GRPC_PORT": "0"},
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
        )
        assert second.returncode == 7
        assert "another ser-server or ser-trainer runs the jobs of the queue" in second.stderr
        assert "Traceback" not in second.stderr


def test_a_queue_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    JobStore(path).close()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(NewerQueueError, match="expected schema 2 or an earlier one, got 99"):
        JobStore(path)
