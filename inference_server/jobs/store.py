"""The queue of training jobs, in SQLite: every process sees it, and it outlives them all."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from inference_server.failures import OverloadedError, violations_of
from ser.errors import Code, NotFoundError, SerError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
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
    revision INTEGER NOT NULL DEFAULT 0,
    reference TEXT
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, number);
"""


class State(StrEnum):
    """Where a job stands."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_over(self) -> bool:
        """Whether it stays so for ever."""
        return self not in (State.QUEUED, State.RUNNING)


@dataclass(frozen=True)
class Job:
    """A training job as it stood when it was read."""

    number: int
    """Jobs are numbered in the order in which they were asked for."""
    job_id: str
    state: State
    request: dict[str, Any]
    """A `ser.request.TrainRequest` as JSON, its folders resolved."""
    progress: dict[str, Any] | None
    result: dict[str, Any] | None
    """A `ser.trainer.TrainResult` as JSON, of one that succeeded."""
    error: dict[str, Any] | None
    """code (name of a `ser.errors.Code`), message, violations; of one that failed."""
    cancel: bool
    """Whether somebody asked for its end."""
    created: float
    """Seconds since 1970."""
    started: float | None
    ended: float | None
    revision: int
    """Grows with every change."""
    reference: str | None = None
    """What the backend calls it, of one that outlives the server."""
    ahead: int = 0
    """How many jobs are before it in the queue."""


class JobStore:
    """The jobs of one server. Use it from one thread; open one a process."""

    def __init__(self, path: Path) -> None:
        """Opens the file, or makes it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        # A writer waits for another rather than failing; transactions here take well below a millisecond.
        self._database = sqlite3.connect(path, timeout=30, isolation_level=None)
        self._database.row_factory = sqlite3.Row
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.executescript(_SCHEMA)
        columns = {row["name"] for row in self._database.execute("PRAGMA table_info(jobs)")}
        if "reference" not in columns:  # a file of an earlier version
            self._database.execute("ALTER TABLE jobs ADD COLUMN reference TEXT")

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def add(self, request: Mapping[str, Any], *, max_queued: int) -> Job:
        """Puts a job into the queue.

        Raises:
            OverloadedError: If `max_queued` wait already.
        """
        job_id = f"job-{secrets.token_hex(8)}"
        with self._transaction():
            waiting = self._count("state = 'QUEUED'")
            # One may always wait, for the time that it takes to be started.
            if waiting >= max(1, max_queued):
                raise OverloadedError(f"{waiting} training jobs wait already, as many as may; try again later")
            self._database.execute(
                "INSERT INTO jobs (job_id, state, request, created) VALUES (?, 'QUEUED', ?, ?)",
                (job_id, json.dumps(request), time.time()),
            )
        return self.get(job_id)

    def get(self, job_id: str) -> Job:
        """A job.

        Raises:
            NotFoundError: If there is none of that name.
        """
        row = self._database.execute("SELECT * FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
        if row is None:
            newest = [job.job_id for job in self.newest(3)]
            known = f"the newest are {', '.join(newest)}" if newest else "there are none yet"
            raise NotFoundError(f"job_id: no job {job_id!r}; {known}")
        return self._job(row)

    def newest(self, limit: int, *, before: int | None = None) -> list[Job]:
        """Jobs, the newest first; those of a lower number than `before`."""
        rows = self._database.execute(
            "SELECT * FROM jobs WHERE number < ? ORDER BY number DESC LIMIT ?",
            (2**62 if before is None else before, limit),
        )
        return [self._job(row) for row in rows.fetchall()]

    def in_state(self, state: State) -> list[Job]:
        """Jobs of a state, the oldest first."""
        rows = self._database.execute("SELECT * FROM jobs WHERE state = ? ORDER BY number", (state,))
        return [self._job(row) for row in rows.fetchall()]

    def counts(self) -> dict[State, int]:
        """How many jobs there are of each state."""
        rows = self._database.execute("SELECT state, COUNT(*) AS n FROM jobs GROUP BY state").fetchall()
        found = {row["state"]: int(row["n"]) for row in rows}
        return {state: found.get(state, 0) for state in State}

    def cancel(self, job_id: str) -> Job:
        """Ends a job that waits; asks for the end of one that runs; leaves alone one that is over."""
        self.get(job_id)
        with self._transaction():
            self._change(job_id, "state = 'QUEUED'", state=State.CANCELLED, cancel=1, ended=time.time())
            self._change(job_id, "state = 'RUNNING' AND cancel = 0", cancel=1)
        return self.get(job_id)

    def start(self, job_id: str) -> bool:
        """Marks a job that waits as running; false if it does not wait any more."""
        return self._change(job_id, "state = 'QUEUED'", state=State.RUNNING, started=time.time())

    def requeue(self, job_id: str) -> None:
        """Puts a job that runs back to where it was in the queue; one that is to be cancelled is."""
        with self._transaction():
            self._change(job_id, "state = 'RUNNING' AND cancel = 1", state=State.CANCELLED, ended=time.time())
            self._change(job_id, "state = 'RUNNING'", state=State.QUEUED, started=None, progress=None, reference=None)

    def refer(self, job_id: str, reference: str) -> None:
        """Keeps what the backend calls a running job."""
        self._change(job_id, "state = 'RUNNING'", reference=reference)

    def tell(self, job_id: str, progress: Mapping[str, Any]) -> None:
        """Keeps how far a running job is."""
        self._change(job_id, "state = 'RUNNING'", progress=json.dumps(progress))

    def succeed(self, job_id: str, result: Mapping[str, Any]) -> None:
        """Ends a running job with a model."""
        self._change(job_id, "state = 'RUNNING'", state=State.SUCCEEDED, result=json.dumps(result), ended=time.time())

    def fail(self, job_id: str, error: Mapping[str, Any]) -> None:
        """Ends a running job without a model; one that is to be cancelled counts as cancelled."""
        with self._transaction():
            self._change(job_id, "state = 'RUNNING' AND cancel = 1", state=State.CANCELLED, ended=time.time())
            self._change(job_id, "state = 'RUNNING'", state=State.FAILED, error=json.dumps(error), ended=time.time())

    def _change(self, job_id: str, condition: str, **values: Any) -> bool:
        columns = ", ".join(f"{name} = ?" for name in values)
        sql = f"UPDATE jobs SET {columns}, revision = revision + 1 WHERE job_id = ? AND {condition}"  # noqa: S608 - ours
        return self._database.execute(sql, (*values.values(), job_id)).rowcount > 0

    def _count(self, condition: str, *values: Any) -> int:
        sql = f"SELECT COUNT(*) FROM jobs WHERE {condition}"  # noqa: S608 - ours
        return int(self._database.execute(sql, values).fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _job(self, row: sqlite3.Row) -> Job:
        values = dict(row)
        for name in ("request", "progress", "result", "error"):
            values[name] = json.loads(values[name]) if values[name] else None
        values["state"], values["cancel"] = State(values["state"]), bool(values["cancel"])
        waits = values["state"] is State.QUEUED
        ahead = self._count("state IN ('QUEUED', 'RUNNING') AND number < ?", values["number"]) if waits else 0
        return Job(**values, ahead=ahead)


def error_record(code: Code, message: str, error: SerError | None = None) -> dict[str, Any]:
    """An error as the queue keeps it."""
    violations = violations_of(error) if error else ()
    return {
        "code": code.name,
        "message": " ".join(message.split()),
        "violations": [{"field": one.field, "description": one.description} for one in violations],
    }
