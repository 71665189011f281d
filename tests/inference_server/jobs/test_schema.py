"""A queue of each earlier schema is brought up to date, with all that is in it."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ser_inference_server.jobs.schema import VERSION
from ser_inference_server.jobs.store import JobStore, State

# As the files were written by the versions of their time, which did not say what they were.
FIRST = """
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    request TEXT NOT NULL,
    progress TEXT,
    result TEXT,
    error TEXT,
    cancel INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL,
    started REAL,
    ended REAL,
    revision INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX jobs_by_state ON jobs (state, number);
"""
SECOND = FIRST.replace("DEFAULT 0\n);", "DEFAULT 0,\n    reference TEXT\n);")
EARLIER = {"first": FIRST, "first, altered": f"{FIRST} ALTER TABLE jobs ADD COLUMN reference TEXT;", "second": SECOND}


def make(path: Path, schema: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.executescript(schema)
        database.executemany(
            "INSERT INTO jobs (job_id, state, request, result, created, ended) VALUES (?, ?, '{\"a\": 1}', ?, 1.0, ?)",
            [("job-1", "SUCCEEDED", '{"model_id": "m"}', 2.0), ("job-2", "QUEUED", None, None)],
        )
        database.commit()


def columns(path: Path) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return [row[1:] for row in database.execute("PRAGMA table_info(jobs)")]


@pytest.mark.parametrize("schema", EARLIER)
def test_each_earlier_schema_is_upgraded(tmp_path: Path, schema: str) -> None:
    path, new = tmp_path / "jobs.sqlite", tmp_path / "new.sqlite"
    make(path, EARLIER[schema])
    JobStore(new).close()
    with contextlib.closing(JobStore(path)) as store:
        assert store.get("job-1").result == {"model_id": "m"}
        assert store.get("job-2").state is State.QUEUED
        assert store.start("job-2")
        store.refer("job-2", "run-1")
        assert store.get("job-2").reference == "run-1"
    assert columns(path) == columns(new)
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (VERSION,)
    with contextlib.closing(JobStore(path)) as store:  # once more: nothing to do
        assert store.get("job-2").reference == "run-1"


def test_an_upgrade_is_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    make(path, FIRST)
    before = columns(path)
    code = (
        "import os, signal, sqlite3, sys; from pathlib import Path; from ser_inference_server.jobs import schema\n"
        "from ser_inference_server.jobs.store import JobStore\n"
        "schema.STEPS = (*schema.STEPS, 'SELECT die()'); connect = sqlite3.connect\n"
        "def connected(*given, **more):\n"
        "    database = connect(*given, **more)\n"
        "    database.create_function('die', 0, lambda: os.kill(os.getpid(), signal.SIGKILL))\n"
        "    return database\n"
        "sqlite3.connect = connected\n"
        f"JobStore(Path({str(path)!r}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert columns(path) == before
    with contextlib.closing(JobStore(path)) as store:
        assert store.get("job-1").reference is None


def test_many_open_an_earlier_queue_at_once(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    make(path, FIRST)
    code = (
        f"from pathlib import Path; from ser_inference_server.jobs.store import JobStore; JobStore(Path({str(path)!r}))"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    with contextlib.closing(JobStore(path)) as store:
        assert store.get("job-2").state is State.QUEUED


def test_a_backup_of_a_running_queue_is_a_queue(tmp_path: Path) -> None:
    path, backup = tmp_path / "jobs.sqlite", tmp_path / "backup.sqlite"
    with contextlib.closing(JobStore(path)) as store:
        job_id = store.add({"a": 1}, max_queued=1).job_id
        with contextlib.closing(sqlite3.connect(path)) as database:  # as docs/serving.md says
            database.execute("VACUUM INTO ?", (str(backup),))
    with contextlib.closing(JobStore(backup)) as store:
        assert store.get(job_id).state is State.QUEUED
