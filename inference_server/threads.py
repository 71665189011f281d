"""Where calls compute, and where they wait for files: never in the event loop, each no longer than its deadline.

A worker has a core: one thread computes, call after call. Files are read and written by a few threads of their own, so
that a disk that hangs, or a lock that another process holds, stops no prediction. A thread that hangs cannot be ended;
it can only be counted. One thing holds at most half of the threads: further calls for it wait until one is free, or
their deadline passes. When all threads are held up, calls are refused with the reason instead of waiting.
"""

from __future__ import annotations

import asyncio
import math
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from ser.storage.files import lock_seconds
from ser_inference_server.failures import DeadlineError, HeldUpError

if TYPE_CHECKING:
    from ser_inference_server.calls import Call

FILE_THREADS = 8
"""Threads that read and write files."""
HELD_UP_SECONDS = 10.0
"""After this long a thread counts as held up, and is waited for no more when all others are too."""
LOCK_SECONDS = 30.0
"""Longest that a thread waits for a file's lock that another process holds."""
_SECONDS_TO_SAY_SO = 0.2
"""How long before its deadline a wait for a lock ends, so that the caller hears of the lock."""
Result = TypeVar("Result")


class Threads:
    """The threads of one worker. Its methods are the event loop's to call."""

    def __init__(self) -> None:
        self._computing = _Pool("compute", 1)
        self._filing = _Pool("files", FILE_THREADS)
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._shared: dict[Hashable, tuple[asyncio.Future[Any], float]] = {}

    async def compute(self, work: Callable[[], Result], call: Call) -> Result:
        """Computes when it is this call's turn.

        Raises:
            DeadlineError: If the call's deadline passes first, or nobody waits any more.
        """
        what = "the calls before it to be computed, and for its own"
        return await _until_deadline(asyncio.wrap_future(self._computing.submit(_wanted(work, call), "")), call, what)

    async def files(self, work: Callable[[], Result], call: Call, of: str) -> Result:
        """Reads or writes files for one call.

        Args:
            work: What to do.
            call: For whom.
            of: Whose files, in words: "model X". Half of the threads at most are at the files of one thing.

        Raises:
            HeldUpError: If all threads are held up.
            DeadlineError: If the call's deadline passes first, or nobody waits any more.
        """
        self._check_free()
        turns = self._turns.setdefault(of, asyncio.Semaphore(FILE_THREADS // 2))
        await _until_deadline(turns.acquire(), call, f"its turn at the files of {of}")
        future = asyncio.wrap_future(self._filing.submit(_wanted(work, call), of))
        # A thread that goes on keeps its turn, though its caller is gone.
        future.add_done_callback(lambda done: _leave(done, turns))
        return await _until_deadline(asyncio.shield(future), call, f"the files of {of}")

    async def shared(
        self,
        key: Hashable,
        work: Callable[[], Result],
        call: Call,
        of: str,
        *,
        keep: Callable[[Result], None] | None = None,
        patience: float = math.inf,
    ) -> Result:
        """Reads files for all calls that want the same, once at a time.

        Args:
            key: What it is; the same key is the same work.
            work: What to do.
            call: For whom; others join in, and it goes on for them.
            of: What is read, in words.
            keep: Gets the result, in the event loop, whether anybody waits still or not.
            patience: How long, in seconds from its beginning, it is waited for.

        Raises:
            HeldUpError: If it takes longer than that, or all threads are held up.
            DeadlineError: If the call's deadline passes first.
        """
        if key not in self._shared:
            self._check_free()
            future = asyncio.wrap_future(self._filing.submit(work, of))
            self._shared[key] = future, time.monotonic()
            future.add_done_callback(lambda done: self._share(done, key, keep))
        future, since = self._shared[key]
        if since + patience < call.deadline:
            await asyncio.wait({future}, timeout=since + patience - time.monotonic())
            if not future.done():
                raise HeldUpError(f"{of} takes longer than {patience:g} s")
        result: Result = await _until_deadline(asyncio.shield(future), call, of)
        return result

    def close(self) -> None:
        """Lets go of what has not begun. Threads that are held up do not hold up the process's end."""
        self._computing.close()
        self._filing.close()

    def _check_free(self) -> None:
        if held_up := self._filing.held_up(HELD_UP_SECONDS):
            raise HeldUpError(f"all {FILE_THREADS} threads that read files are held up: {', '.join(held_up)}")

    def _share(self, done: asyncio.Future[Result], key: Hashable, keep: Callable[[Result], None] | None) -> None:
        del self._shared[key]
        if not done.cancelled() and done.exception() is None and keep is not None:
            keep(done.result())


def _leave(done: asyncio.Future[Any], turns: asyncio.Semaphore) -> None:
    if not done.cancelled():
        done.exception()  # its caller has it, or is gone
    turns.release()


async def _until_deadline(future: Awaitable[Result], call: Call, what: str) -> Result:
    left = call.deadline - time.monotonic()
    try:
        async with asyncio.timeout(left if left < math.inf else None) as timeout:
            return await future
    except TimeoutError:
        if timeout.expired():
            raise DeadlineError(f"the deadline passed while the call waited for {what}") from None
        raise


def _wanted(work: Callable[[], Result], call: Call) -> Callable[[], Result]:
    """The work, unless nobody wants it any more when its turn comes."""

    def unless_ended() -> Result:
        call.check()
        lock_seconds.set(max(0.0, min(LOCK_SECONDS, call.deadline - time.monotonic() - _SECONDS_TO_SAY_SO)))
        return work()

    return unless_ended


class _Pool:
    """A few threads, started as they are needed, that the process does not wait for when it ends."""

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = size
        self._waiting: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any], str] | None] = queue.SimpleQueue()
        self._threads = 0
        self._unfinished = 0
        self._lock = threading.Lock()
        self._busy: dict[int, tuple[str, float]] = {}

    def submit(self, work: Callable[[], Result], what: str) -> Future[Result]:
        future: Future[Result] = Future()
        with self._lock:
            self._unfinished += 1
            starts = self._threads < min(self._size, self._unfinished)
            self._threads += starts
        self._waiting.put((future, work, what))
        if starts:
            threading.Thread(target=self._run, name=f"{self._name}-{self._threads}", daemon=True).start()
        return future

    def held_up(self, seconds: float) -> list[str]:
        """What each thread is at, and since when, if all have been at it for so long; else nothing."""
        with self._lock:
            busy = list(self._busy.values())
        now = time.monotonic()
        if len(busy) < self._size or any(now - since < seconds for _, since in busy):
            return []
        return [f"{what} for {now - since:.0f} s" for what, since in busy]

    def close(self) -> None:
        for _ in range(self._threads):
            self._waiting.put(None)

    def _run(self) -> None:
        me = threading.get_ident()
        while (order := self._waiting.get()) is not None:
            future, work, what = order
            if future.set_running_or_notify_cancel():
                with self._lock:
                    self._busy[me] = what, time.monotonic()
                lock_seconds.set(LOCK_SECONDS)
                try:
                    future.set_result(work())
                except BaseException as error:  # noqa: BLE001 - whoever waits raises it
                    future.set_exception(error)
            with self._lock:
                self._busy.pop(me, None)
                self._unfinished -= 1
            del order, future, work
