"""The queue as the event loop sees it: SQLite's connections stay in threads of their own."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from ser_inference_server.jobs.queue import JobQueue
from ser_inference_server.jobs.store import JobStore


def test_a_connection_is_used_by_one_thread_and_reading_waits_for_no_writer(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path / "jobs.sqlite")

    def who(_: JobStore) -> int:
        return threading.get_ident()

    async def ask() -> list[set[int]]:
        connections = (queue._reading, queue._writing)
        return [set(await asyncio.gather(*(one.do(who) for _ in range(30)))) for one in connections]

    try:
        (reads,), (writes,) = asyncio.run(ask())
    finally:
        queue.close()
    assert len({reads, writes, threading.get_ident()}) == 3
