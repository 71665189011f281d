"""Workers that die, hang or cannot be started: the others go on, and a new one comes."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import httpx
import pytest

from ser.bundles.bundle import Bundle
from ser_api.v1 import ser_pb2
from ser_inference_server.settings import Settings
from ser_inference_server.workers import Workers
from tests.inference_server.callers import calling
from tests.inference_server.harness import Server, serve

SECONDS_TO_BE_WELL = 60.0
"""A busy machine may take long to start a process; a worker that is never replaced takes for ever."""


@pytest.fixture
def home(bundle: Bundle, tmp_path: Path) -> Path:
    shutil.copytree(bundle.folder, tmp_path / "models" / bundle.manifest.model_id)
    return tmp_path


def workers(server: Server) -> dict[int, str]:
    """Process ids of the workers that are no zombies, and the states that the kernel gives them."""
    found = {}
    for child in Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split():
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes()
            state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:  # ended meanwhile
            continue
        if b"ser_inference_server.worker" in command and state != "Z":
            found[int(child)] = state
    return found


def call_again(call: Callable[[], str]) -> str:
    """What a call gives; one whose connection breaks is repeated once."""
    try:
        return call()
    except httpx.TransportError:
        return call()


def wait_for_log(server: Server, words: str) -> None:
    give_up = time.monotonic() + SECONDS_TO_BE_WELL
    while not any(words in line["message"] for line in server.logged()):
        assert time.monotonic() < give_up, server.log.read_text()[-2_000:]
        time.sleep(0.02)


def wait_until_replaced(server: Server, dead: int, number: int) -> set[int]:
    give_up = time.monotonic() + SECONDS_TO_BE_WELL
    while True:
        now = set(workers(server))
        if dead not in now and len(now) == number:
            return now
        assert time.monotonic() < give_up, f"worker {dead} was not replaced: {server.log.read_text()[-2_000:]}"
        time.sleep(0.01)


@pytest.mark.parametrize("number", [1, 2])
def test_each_worker_is_killed_twenty_times_under_load(home: Path, bundle: Bundle, sample: str, number: int) -> None:
    body = {"model_id": bundle.manifest.model_id, "sample_name": sample}
    callers = 4
    with serve(home, workers=number) as server, calling(server, body, callers=callers) as seen, server.stub() as stub:
        kills = 0
        for _ in range(20):
            for victim in sorted(workers(server)):
                seen.wait_for_answers(callers)
                os.kill(victim, signal.SIGKILL)
                kills += 1
                wait_until_replaced(server, victim, number)
        # It is well again: over HTTP, and at every worker over gRPC.
        seen.wait_for_answers(20)
        for _ in range(4 * number):
            with grpc.insecure_channel(server.grpc, [("grpc.use_local_subchannel_pool", 1)]) as channel:
                grpc.channel_ready_future(channel).result(SECONDS_TO_BE_WELL)
        assert stub.Predict(ser_pb2.PredictRequest(**body), wait_for_ready=True, timeout=60).prediction
        # A kill cuts off what its worker had under way, at most a call of each caller.
        assert len(seen.failed) <= kills * callers, seen.failed[:10]
        deaths = [line for line in server.logged() if line["message"] == "a worker died"]
        assert len(deaths) == kills


def test_a_worker_that_hangs_is_replaced(home: Path, bundle: Bundle, sample: str) -> None:
    body = {"model_id": bundle.manifest.model_id, "sample_name": sample}
    with serve(home, workers=1, worker_silence_seconds=1) as server, calling(server, body, callers=2) as seen:
        seen.wait_for_answers(2)
        (victim,) = workers(server)
        os.kill(victim, signal.SIGSTOP)
        wait_until_replaced(server, victim, 1)
        seen.wait_for_answers(2)
        assert any("SER_WORKER_SILENCE_SECONDS" in line["message"] for line in server.logged())


def test_a_server_that_was_stopped_as_a_whole_keeps_its_workers(home: Path) -> None:
    with serve(home, workers=1, worker_silence_seconds=1) as server, server.client() as client:
        before = workers(server)
        processes = [server.process.pid, *before]
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(2.5)  # longer than a worker may be silent
        for pid in processes:
            os.kill(pid, signal.SIGCONT)
        for _ in range(20):
            assert client.get("/healthz").status_code == 200
            time.sleep(0.05)
        assert set(workers(server)) == set(before)


def test_a_process_that_the_system_refuses_leaves_no_file_open(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = 0

    def refuse(*_: object, **__: object) -> None:
        nonlocal refused
        refused += 1
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")  # as fork says it

    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with socket.socket() as http:
        workers = Workers(Settings(workers=2), http)
        before = opened()
        workers.tick(0)
        assert opened() == before
        workers.wait(0)
    assert (refused, workers.deaths, workers.ready) == (2, 2, False)


def test_workers_and_jobs_wait_while_the_system_refuses_processes(home: Path) -> None:
    with serve(home, workers=2) as server, server.client() as client:
        pid = server.process.pid
        usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        # As many as it has open: not one more.
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()), usual[1]))
        victim = min(workers(server))
        os.kill(victim, signal.SIGKILL)
        # Connections of the killed worker break; the other takes calls.
        job_id = call_again(lambda: client.post("/jobs", json=server.request()).json()["job_id"])
        wait_for_log(server, "a worker is missing")
        wait_for_log(server, "training jobs")
        assert call_again(lambda: client.get(f"/jobs/{job_id}").json()["state"]) == "QUEUED"
        assert server.process.poll() is None
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
        wait_until_replaced(server, victim, 2)
        give_up = time.monotonic() + 300
        while (state := call_again(lambda: client.get(f"/jobs/{job_id}").json()["state"])) != "SUCCEEDED":
            assert state in ("QUEUED", "RUNNING")
            assert time.monotonic() < give_up
            time.sleep(0.1)
