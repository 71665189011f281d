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

from ser.errors import Code, NotFoundError, SerError
from ser_inference_server.failures import OverloadedError, violations_of
from ser_inference_server.jobs.errors import queue_errors
from ser_inference_server.jobs.schema import upgrade

_SECONDS_TO_WAIT = 2.0
"""How long a writer waits for another; transactions here take well below a millisecond."""


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
    """The jobs of one server. Use it from one thread; open one a thread.

    Every method raises `QueueError` if the database cannot be read or written, after at most two seconds.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file, or makes it; one of an earlier version is brought up to date.

        Raises:
            NewerQueueError: If a later version of SER wrote it.
            QueueError: If it cannot be opened.
        """
        self._path = path
        with queue_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=_SECONDS_TO_WAIT, isolation_level=None)
            try:
                self._database.row_factory = sqlite3.Row
                self._database.execute("PRAGMA journal_mode=WAL")
                self._database.execute("PRAGMA synchronous=NORMAL")
                upgrade(self._database)
            except BaseException:
                self._database.close()
                raise

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
            self._run(
                "INSERT INTO jobs (job_id, state, request, created) VALUES (?, 'QUEUED', ?, ?)",
                job_id,
                json.dumps(request),
                time.time(),
            )
        return self.get(job_id)

    def get(self, job_id: str) -> Job:
        """A job.

        Raises:
            NotFoundError: If there is none of that name.
        """
        rows = self._rows("SELECT * FROM jobs WHERE job_id = ?", job_id)
        if not rows:
            newest = [job.job_id for job in self.newest(3)]
            known = f"the newest are {', '.join(newest)}" if newest else "there are none yet"
            raise NotFoundError(f"job_id: no job {job_id!r}; {known}")
        return self._job(rows[0])

    def newest(self, limit: int, *, before: int | None = None) -> list[Job]:
        """Jobs, the newest first; those of a lower number than `before`."""
        sql = "SELECT * FROM jobs WHERE number < ? ORDER BY number DESC LIMIT ?"
        return [self._job(row) for row in self._rows(sql, 2**62 if before is None else before, limit)]

    def in_state(self, state: State) -> list[Job]:
        """Jobs of a state, the oldest first."""
        rows = self._rows("SELECT * FROM jobs WHERE state = ? ORDER BY number", state)
        return [self._job(row) for row in rows]

    def counts(self) -> dict[State, int]:
        """How many jobs there are of each state."""
        rows = self._rows("SELECT state, COUNT(*) AS n FROM jobs GROUP BY state")
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

    def requeue(self, job_id: str) -> bool:
        """Puts a job that runs back to where it was in the queue; one that is to be cancelled is.

        Returns:
            Whether it waits again; else it is over.
        """
        with self._transaction():
            self._change(job_id, "state = 'RUNNING' AND cancel = 1", state=State.CANCELLED, ended=time.time())
            return self._change(
                job_id, "state = 'RUNNING'", state=State.QUEUED, started=None, progress=None, reference=None
            )

    def forget(self, before: float) -> int:
        """Deletes the jobs that ended before a moment, in seconds since 1970; gives how many those were."""
        over = ", ".join(f"'{state}'" for state in State if state.is_over)
        return self._run(f"DELETE FROM jobs WHERE state IN ({over}) AND ended < ?", before)  # noqa: S608 - ours

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
        return self._run(sql, *values.values(), job_id) > 0

    def _count(self, condition: str, *values: Any) -> int:
        return int(self._rows(f"SELECT COUNT(*) FROM jobs WHERE {condition}", *values)[0][0])  # noqa: S608 - ours

    def _rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        with queue_errors(self._path):
            return self._database.execute(sql, values).fetchall()

    def _run(self, sql: str, *values: Any) -> int:
        """How many rows it changed."""
        with queue_errors(self._path):
            return self._database.execute(sql, values).rowcount

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._run("BEGIN IMMEDIATE")
        try:
            yield
            self._run("COMMIT")
        except BaseException:
            if self._database.in_transaction:  # SQLite itself ends one that finds no space
                self._run("ROLLBACK")
            raise

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
