"""Jobs are seen to their ends, whether their processes heed what they are told or not."""

from __future__ import annotations

import logging
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ser.processes import child_command
from ser.request import TrainRequest
from ser_inference_server.jobs import local
from ser_inference_server.jobs import runner as module
from ser_inference_server.jobs.runner import JobRunner
from ser_inference_server.jobs.store import Job, JobStore, State
from ser_inference_server.settings import Settings
from tests.deadlines import tries, wait_gone


class Jobs:
    """A queue and who runs it."""

    def __init__(self, folder: Path, caplog: pytest.LogCaptureFixture, **settings: Any) -> None:
        self._caplog = caplog
        self.folder = folder
        self.settings = Settings(data_root=str(folder / "data"), model_root=str(folder / "models"), **settings)
        self.store = JobStore(self.settings.jobs_path)
        self.runner = JobRunner(self.settings)

    def add(self) -> str:
        request = TrainRequest(
            data_path=str(self.folder / "data"),
            remote_url="embedded:?clips=70",
            model_type="KerasClassifier",
            model_save_path=str(self.folder / "models"),
            model_config={"epochs": 50_000},
        )
        return self.store.add(request.model_dump(mode="json", by_alias=True), max_queued=16).job_id

    def started(self) -> list[tuple[str, int]]:
        """Jobs and their processes, in the order of their start."""
        records = [record.__dict__ for record in self._caplog.records]
        return [(record["job_id"], record["pid"]) for record in records if "pid" in record and "job_id" in record]

    def start_deaf(self) -> tuple[str, int]:
        """Has a job run whose process heeds nothing but SIGKILL, from its first moment: that is inherited."""
        before = len(self.started())
        self.add()
        usual = signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(local, "child_command", lambda _: child_command("tests.endless"))
                self.runner.tick()
        finally:
            signal.signal(signal.SIGTERM, usual)
        return self.started()[before]

    def end_of(self, job_id: str) -> Job:
        for _ in tries(30):
            self.runner.tick()
            if (job := self.store.get(job_id)).state.is_over and not self.runner._running:
                return job
        raise AssertionError


@pytest.fixture
def jobs(tmp_path: Path, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest) -> Iterator[Jobs]:
    caplog.set_level(logging.INFO, "ser.jobs")
    made = Jobs(tmp_path, caplog, **getattr(request, "param", {}))
    yield made
    made.runner.stop(0.0)
    made.store.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SECONDS_TO_END", 0.2)


@pytest.mark.usefixtures("impatient")
def test_a_cancelled_training_that_does_not_heed_it_is_killed_and_the_next_one_runs(jobs: Jobs) -> None:
    job_id, pid = jobs.start_deaf()
    waiting = jobs.add()
    jobs.store.cancel(job_id)
    for _ in tries(30):
        jobs.runner.tick()
        if jobs.store.get(waiting).state is State.RUNNING:
            break
    assert jobs.store.get(job_id).state is State.CANCELLED
    wait_gone(pid)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("jobs", [{"max_training_seconds": 0.3}], indirect=True)
def test_a_training_that_takes_too_long_names_the_setting(jobs: Jobs) -> None:
    job_id, pid = jobs.start_deaf()
    failed = jobs.end_of(job_id)
    assert failed.state is State.FAILED
    assert failed.error is not None
    assert failed.error["code"] == "DEADLINE_EXCEEDED"
    assert re.search(r"within 0\.3 s \(SER_MAX_TRAINING_SECONDS\)", failed.error["message"])
    wait_gone(pid)


@pytest.mark.parametrize("jobs", [{"training_slots": 2}], indirect=True)
def test_as_many_run_at_once_as_there_are_slots_the_oldest_first(jobs: Jobs) -> None:
    ids = [jobs.add() for _ in range(3)]
    for _ in range(3):
        jobs.runner.tick()
    assert [jobs.store.get(job_id).state for job_id in ids] == [State.RUNNING, State.RUNNING, State.QUEUED]
    assert [job_id for job_id, _ in jobs.started()] == ids[:2]


def test_a_stop_ends_what_does_not_heed_it_and_puts_it_back(jobs: Jobs) -> None:
    job_id, pid = jobs.start_deaf()
    jobs.runner.stop(0.1)
    wait_gone(pid)
    again = jobs.store.get(job_id)
    assert again.state is State.QUEUED
    assert again.started is None
    jobs.runner = JobRunner(jobs.settings)  # the fixture stops it


def test_a_training_gives_way_to_serving(jobs: Jobs) -> None:
    jobs.add()
    jobs.runner.tick()
    ((_, pid),) = jobs.started()
    for _ in tries():
        jobs.runner.tick()
        if os.getpriority(os.PRIO_PROCESS, pid) == 19 and os.sched_getscheduler(pid) == os.SCHED_BATCH:
            break
    assert jobs.runner._running
    assert os.getpriority(os.PRIO_PROCESS, 0) < 19
