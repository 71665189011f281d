"""Threads for files: whoever comes waits for a turn; what hangs holds up its own callers, and no others."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from inference_server.calls import Call
from inference_server.failures import DeadlineError
from inference_server.threads import FILE_THREADS, Threads

SECONDS = 30.0


def call(seconds: float = SECONDS) -> Call:
    return replace(Call.of_server("Predict"), deadline=time.monotonic() + seconds)


def run(work: Callable[[Threads], Awaitable[None]]) -> None:
    async def whole() -> None:
        threads = Threads()
        try:
            await asyncio.wait_for(work(threads), SECONDS)
        finally:
            threads.close()

    asyncio.run(whole())


def test_more_calls_for_one_model_than_there_are_threads_all_get_their_turn() -> None:
    running, most = 0, 0
    lock = threading.Lock()
    together = threading.Barrier(FILE_THREADS // 2)

    def read() -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(SECONDS)
        with lock:
            running -= 1
        return 1

    async def work(threads: Threads) -> None:
        answers = await asyncio.gather(*(threads.files(read, call(), "model A") for _ in range(4 * FILE_THREADS)))
        assert sum(answers) == 4 * FILE_THREADS

    run(work)
    assert most == FILE_THREADS // 2  # the others are free for other models


def test_files_that_hang_hold_up_their_own_callers_until_their_deadline_and_no_others() -> None:
    hang = threading.Event()

    async def work(threads: Threads) -> None:
        hung = [asyncio.ensure_future(threads.files(hang.wait, call(), "model A")) for _ in range(FILE_THREADS // 2)]
        await asyncio.sleep(0)
        with pytest.raises(DeadlineError, match="its turn at the files of model A"):
            await threads.files(lambda: 1, call(0.05), "model A")
        assert await threads.files(lambda: 2, call(), "model B") == 2
        hang.set()
        assert await asyncio.gather(*hung) == [True] * len(hung)
        assert await threads.files(lambda: 3, call(), "model A") == 3

    run(work)
