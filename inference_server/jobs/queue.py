"""The queue as a worker's event loop sees it: nothing here waits for the disk, or for a lock, in the loop.

Reads and writes have a thread and a connection each: a lock on the database holds up writers, and no reader.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from ser.errors import SerError
from ser_inference_server.jobs.errors import QueueBusyError, QueueError
from ser_inference_server.jobs.store import Job, JobStore, State

Result = TypeVar("Result")
_SECONDS_IN_LINE = 3.0
"""How long a call waits for its turn; SQLite's own wait comes on top."""
_SECONDS_BETWEEN_TRIES = 2.0
logger = logging.getLogger("ser.jobs")


class JobQueue:
    """The jobs of one server. The methods are those of `JobStore`, which also says what they raise."""

    def __init__(self, path: Path) -> None:
        """Touches nothing: the file is opened by the first call that needs it, and again after an error."""
        self._reading = _Connection(path, "queue-reads")
        self._writing = _Connection(path, "queue-writes")
        self._tasks: set[asyncio.Future[None]] = set()

    async def get(self, job_id: str) -> Job:
        """See `JobStore.get`."""
        return await self._reading.do(lambda store: store.get(job_id))

    async def newest(self, limit: int, *, before: int | None = None) -> list[Job]:
        """See `JobStore.newest`."""
        return await self._reading.do(lambda store: store.newest(limit, before=before))

    async def counts(self) -> dict[State, int]:
        """See `JobStore.counts`."""
        return await self._reading.do(lambda store: store.counts())

    async def cancel(self, job_id: str) -> Job:
        """See `JobStore.cancel`."""
        return await self._writing.do(lambda store: store.cancel(job_id))

    async def add(self, request: Mapping[str, Any], *, max_queued: int, keep: bool) -> Job:
        """See `JobStore.add`.

        Args:
            request: The job's.
            max_queued: As many may wait.
            keep: Whether the job stays if the caller leaves before it is told the job's id; else it is cancelled.
        """
        adding = asyncio.ensure_future(self._writing.do(lambda store: store.add(request, max_queued=max_queued)))
        try:
            return await asyncio.shield(adding)
        except asyncio.CancelledError:
            if not keep:
                self._later(self._cancel_added(adding))
            raise

    def abandon(self, job_id: str) -> None:
        """Cancels a job that nobody waits for any more; returns at once, and does it once the queue can be written."""
        self._later(self._cancel(job_id))

    def close(self) -> None:
        """Ends the threads, once they have done what is under way."""
        for task in self._tasks:
            task.cancel()
        self._reading.close()
        self._writing.close()

    async def _cancel_added(self, adding: asyncio.Future[Job]) -> None:
        with contextlib.suppress(SerError):  # it was not added
            await self._cancel((await adding).job_id)

    async def _cancel(self, job_id: str) -> None:
        while True:
            try:
                await self.cancel(job_id)
            except QueueError as error:
                logger.warning("job of a caller who left is not cancelled yet: %s", error, extra={"job_id": job_id})
                await asyncio.sleep(_SECONDS_BETWEEN_TRIES)
            else:
                return

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # asyncio itself does not keep it
        task.add_done_callback(self._tasks.discard)


class _Connection:
    """A thread with a `JobStore` of its own."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._store: JobStore | None = None

    async def do(self, work: Callable[[JobStore], Result]) -> Result:
        """Has something done, and waits for it: at most as long as a call may stand in line, and SQLite may wait."""
        give_up = time.monotonic() + _SECONDS_IN_LINE
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._with_store, work, give_up)

    def close(self) -> None:
        """Ends the thread, once it has done what it was given."""
        self._thread.submit(self._forget)
        self._thread.shutdown(wait=False)

    def _with_store(self, work: Callable[[JobStore], Result], give_up: float) -> Result:
        if time.monotonic() > give_up:
            raise QueueBusyError("too many calls wait for the queue of training jobs; try again")
        if self._store is None:
            self._store = JobStore(self._path)
        try:
            return work(self._store)
        except QueueBusyError:
            raise
        except QueueError:
            self._forget()  # by the next call the file may be another one: mended, or restored
            raise

    def _forget(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None
