"""The processes of jobs: they die with the server, leave nothing, and are told apart from those that have ended."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import httpx

from tests.deadlines import tries, wait_gone
from tests.inference_server.harness import Server, serve

LONG = {"epochs": 50_000}


def wait_for_process(server: Server, job_id: str) -> int:
    give_up = time.monotonic() + 60
    while True:
        for line in server.logged():
            if line.get("job_id") == job_id and "pid" in line:
                return int(line["pid"])
        assert time.monotonic() < give_up
        time.sleep(0.002)


def wait_for(client: httpx.Client, job_id: str, *states: str) -> dict[str, Any]:
    give_up = time.monotonic() + 300
    while True:
        job: dict[str, Any] = client.get(f"/jobs/{job_id}").json()
        if job["state"] in states:
            return job
        assert time.monotonic() < give_up, job
        time.sleep(0.02)  # the training has the lowest priority


def partials(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if ".partial-" in path.name]


def test_a_job_that_has_just_been_started_dies_with_its_server(tmp_path: Path) -> None:
    failed: list[str] = []
    for number in range(6):
        with serve(tmp_path) as server, server.client() as client:
            for job_id in failed:
                assert client.get(f"/jobs/{job_id}").json()["state"] == "FAILED"
            request = server.request(model_config=LONG, random_state=number)
            job_id = client.post("/jobs", json=request).json()["job_id"]
            process = wait_for_process(server, job_id)
            time.sleep(0.02 * number)
            server.process.kill()
            server.process.wait()
            wait_gone(process)
        failed.append(job_id)
    assert not list((tmp_path / "models").glob("*/manifest.json"))


def test_what_a_killed_job_left_is_swept_by_whoever_notes_its_end(tmp_path: Path) -> None:
    with serve(tmp_path / "server") as server, server.client() as client:
        job_id = client.post("/jobs", json=server.request(model_config=LONG)).json()["job_id"]
        for _ in tries():
            if partials(server.models):
                break
            assert client.get(f"/jobs/{job_id}").json()["state"] in ("QUEUED", "RUNNING")
        os.kill(wait_for_process(server, job_id), signal.SIGKILL)
        wait_for(client, job_id, "FAILED")
        give_up = time.monotonic() + 30
        while partials(server.models):
            assert time.monotonic() < give_up, partials(server.models)
        job_id = client.post("/jobs", json=server.request(model_config=LONG)).json()["job_id"]
        for _ in tries():
            if partials(server.models):
                break
            assert client.get(f"/jobs/{job_id}").json()["state"] in ("QUEUED", "RUNNING")
        server.process.kill()
        server.process.wait()
    assert partials(tmp_path / "server" / "models")
    with serve(tmp_path / "server") as server, server.client() as client:
        wait_for(client, job_id, "FAILED")
        give_up = time.monotonic() + 30
        while partials(server.models):
            assert time.monotonic() < give_up, partials(server.models)


def test_a_job_that_has_just_succeeded_does_not_go_back_into_the_queue(tmp_path: Path) -> None:
    with serve(tmp_path) as server, server.client() as client:
        job_id = client.post("/jobs", json=server.request()).json()["job_id"]
        wait_for(client, job_id, "SUCCEEDED")
        assert server.stop() == 0
        assert not [line for line in server.logged() if "back into the queue" in line["message"]]
        ends = [line["state"] for line in server.logged() if line["message"] == "job ended"]
        assert ends == ["SUCCEEDED"]
    with serve(tmp_path) as server, server.client() as client:
        assert client.get(f"/jobs/{job_id}").json()["state"] == "SUCCEEDED"


def test_jobs_that_ended_long_ago_are_deleted(tmp_path: Path) -> None:
    with serve(tmp_path) as server, server.client() as client:
        ids = [client.post("/jobs", json=server.request(remote_url="embedded:?clips=3")).json()["job_id"]]
        ids.append(client.post("/jobs", json=server.request(remote_url="embedded:?clips=3")).json()["job_id"])
        for job_id in ids:
            wait_for(client, job_id, "FAILED")
    with sqlite3.connect(tmp_path / "data" / ".server" / "jobs.sqlite") as database:
        database.execute("UPDATE jobs SET ended = ended - 3 * 86400 WHERE job_id = ?", (ids[0],))
    database.close()
    with serve(tmp_path, job_retention_days=2) as server, server.client() as client:
        give_up = time.monotonic() + 30
        while client.get(f"/jobs/{ids[0]}").status_code != 404:
            assert time.monotonic() < give_up
        assert client.get(f"/jobs/{ids[1]}").json()["state"] == "FAILED"
