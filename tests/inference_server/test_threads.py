"""Threads of a worker: whose turn it is, who waits how long, and what cannot be ended is counted."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import filelock
import pytest

from ser.storage.files import LockedError, exclusive
from ser_inference_server import threads
from ser_inference_server.calls import Call, Calls
from ser_inference_server.failures import DeadlineError, HeldUpError
from ser_inference_server.settings import Settings
from ser_inference_server.threads import FILE_THREADS

LONG = 60.0


@pytest.fixture
def calls() -> Calls:
    return Calls(Settings())


@pytest.fixture
def door() -> Iterator[threading.Event]:
    """What work waits for that hangs; opened at the end, so that no thread stays."""
    event = threading.Event()
    yield event
    event.set()


def call_of(calls: Calls, seconds: float = LONG) -> Call:
    call = calls.of_server("test")
    call.deadline = time.monotonic() + seconds
    return call


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LONG):
            await test()

    asyncio.run(bounded())


async def begun(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    return task


def test_work_whose_caller_is_gone_is_not_begun(calls: Calls, door: threading.Event) -> None:
    done: list[str] = []

    async def test() -> None:
        first = await begun(calls.threads.compute(door.wait, call_of(calls)))
        gone = call_of(calls)
        waiting = await begun(calls.threads.compute(lambda: done.append("never"), gone))
        cancelled = await begun(calls.threads.compute(lambda: done.append("never"), call_of(calls)))
        gone.ended = True
        cancelled.cancel()
        last = await begun(calls.threads.compute(lambda: done.append("last"), call_of(calls)))
        door.set()
        await asyncio.gather(first, last)
        with pytest.raises(DeadlineError):
            await waiting

    run(test)
    assert done == ["last"]


def test_a_deadline_passes_and_says_what_was_waited_for(calls: Calls, door: threading.Event) -> None:
    async def test() -> None:
        first = await begun(calls.threads.compute(door.wait, call_of(calls)))
        with pytest.raises(DeadlineError, match="waited for the calls before it"):
            await calls.threads.compute(lambda: None, call_of(calls, 0.05))
        with pytest.raises(DeadlineError, match="waited for the files of model X"):
            await calls.threads.files(door.wait, call_of(calls, 0.05), "model X")
        with pytest.raises(DeadlineError, match="waited for model Y to be opened"):
            await calls.threads.shared("y", door.wait, call_of(calls, 0.05), "model Y to be opened")
        door.set()
        await first

    run(test)


def test_more_calls_for_one_thing_than_there_are_threads_all_get_their_turn(calls: Calls) -> None:
    running, most = 0, 0
    lock = threading.Lock()
    together = threading.Barrier(FILE_THREADS // 2)

    def read() -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(LONG)
        with lock:
            running -= 1
        return 1

    async def test() -> None:
        reading = [calls.threads.files(read, call_of(calls), "X") for _ in range(4 * FILE_THREADS)]
        assert sum(await asyncio.gather(*reading)) == 4 * FILE_THREADS

    run(test)
    assert most == FILE_THREADS // 2  # the others are free for other things


def test_one_thing_holds_half_of_the_threads_and_all_of_them_refuse(
    calls: Calls, door: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        half = range(FILE_THREADS // 2)
        held = [await begun(calls.threads.files(door.wait, call_of(calls), "X")) for _ in half]
        with pytest.raises(DeadlineError, match="its turn at the files of X"):
            await calls.threads.files(lambda: None, call_of(calls, 0.05), "X")
        assert await calls.threads.files(lambda: 1, call_of(calls), "Y") == 1  # there are others
        held += [await begun(calls.threads.files(door.wait, call_of(calls), f"Z{number}")) for number in half]
        with pytest.raises(DeadlineError, match="the files of Y"):
            await calls.threads.files(lambda: None, call_of(calls, 0.05), "Y")  # none is held up for long yet
        monkeypatch.setattr(threads, "HELD_UP_SECONDS", 0.01)
        with pytest.raises(HeldUpError, match="all 8 threads that read files are held up: X for 0 s"):
            await calls.threads.files(lambda: None, call_of(calls), "Y")
        assert await calls.threads.compute(lambda: 2, call_of(calls)) == 2
        door.set()
        await asyncio.gather(*held)
        assert await calls.threads.files(lambda: 1, call_of(calls), "X") == 1

    run(test)


def test_what_many_want_is_read_once_and_kept_though_nobody_waits(calls: Calls, door: threading.Event) -> None:
    reads: list[None] = []
    kept: list[str] = []

    def work() -> str:
        reads.append(None)
        door.wait()
        return "read"

    async def test() -> None:
        def want(seconds: float, patience: float = LONG) -> Coroutine[Any, Any, str]:
            call = call_of(calls, seconds)
            return calls.threads.shared("key", work, call, "the manifest", keep=kept.append, patience=patience)

        with pytest.raises(DeadlineError):
            await want(0.05)
        with pytest.raises(HeldUpError, match="the manifest takes longer than 0.01 s"):
            await want(LONG, patience=0.01)
        waiting = await begun(want(LONG))
        door.set()
        assert await waiting == "read"

    run(test)
    assert (len(reads), kept) == (1, ["read"])


def test_a_lock_is_waited_for_as_long_as_the_call_may(calls: Calls, tmp_path: Path) -> None:
    def write() -> str:
        with exclusive(tmp_path / "model"):
            return "written"

    async def test() -> None:
        words = r"the lock of model within .* by its file \.model\.lock"
        with filelock.FileLock(tmp_path / ".model.lock"), pytest.raises(LockedError, match=words):
            await calls.threads.files(write, call_of(calls, 1.0), "X")
        assert await calls.threads.files(write, call_of(calls), "X") == "written"

    run(test)
