"""The tables of the queue, and how a file of an earlier version gets them."""

from __future__ import annotations

import sqlite3

from ser_inference_server.jobs.errors import NewerQueueError

STEPS = (
    """CREATE TABLE jobs (
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
    CREATE INDEX jobs_by_state ON jobs (state, number)""",
    "ALTER TABLE jobs ADD COLUMN reference TEXT",
)
"""Each makes the next schema of the one before: schema N is what the first N steps make. Only ever add to them."""
VERSION = len(STEPS)
"""The schema of this version of SER; the file says its own in `PRAGMA user_version`."""


def upgrade(database: sqlite3.Connection) -> None:
    """Brings a file to this version's schema, in one transaction; one that has it already is only read.

    Raises:
        NewerQueueError: If the file is of a later version.
        sqlite3.Error: If it cannot be read or written; it is as before then.
    """
    stated = _stated(database)
    if stated > VERSION:
        raise NewerQueueError(
            f"the queue of training jobs (SER_STATE_ROOT) was written by a later version of SER: expected schema "
            f"{VERSION} or an earlier one, got {stated}; start that version, or restore a backup of the queue"
        )
    if stated == VERSION:
        return
    database.execute("BEGIN IMMEDIATE")
    try:
        # Looked up once more: another process may have been first.
        for step in STEPS[_version(database) :]:
            for statement in step.split(";"):
                database.execute(statement)
        database.execute(f"PRAGMA user_version = {VERSION}")
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:  # SQLite itself ends one that finds no space
            database.execute("ROLLBACK")
        raise


def _stated(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _version(database: sqlite3.Connection) -> int:
    if stated := _stated(database):
        return stated
    # The first two schemas did not say which they were.
    columns = {row[1] for row in database.execute("PRAGMA table_info(jobs)")}
    return 0 if not columns else 2 if "reference" in columns else 1
