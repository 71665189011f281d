"""What a call may take, and what is left of it when it is over."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from math import inf
from typing import Any

import pytest

from ser.errors import ConfigError
from ser_inference_server.calls import Call, Calls
from ser_inference_server.failures import DeadlineError, DefectError, OverloadedError, StoppingError
from ser_inference_server.settings import Settings


def enter(calls: Calls, **options: Any) -> Any:
    fixed = {"request_id": "one", "authorization": None, "address": "127.0.0.1"}
    return calls.enter(options.pop("rpc", "Predict"), "http", **fixed, **options)


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "long", "expected"),
    [(None, False, 700), (300, False, 300), (900, False, 700), (None, True, inf), (900, True, 900)],
)
def test_a_call_may_take_as_long_as_its_caller_waits_and_a_short_one_no_longer_than_the_setting(
    seconds: float | None, long: bool, expected: float
) -> None:
    async def test() -> None:
        began = time.monotonic()
        async with enter(Calls(Settings(max_call_seconds=700)), seconds=seconds, long=long) as call:
            assert call.deadline - began == pytest.approx(expected, abs=60)

    run(test)


def test_the_work_of_a_call_ends_at_its_deadline_and_not_before() -> None:
    async def test() -> None:
        async with enter(Calls(Settings()), seconds=600) as call:
            call.check()
            call.deadline = time.monotonic() - 0.001
            with pytest.raises(DeadlineError):
                call.check()

    run(test)


class Gone(BaseException):
    """What no handler of errors expects."""


@pytest.mark.parametrize(
    ("how", "seen"),
    [
        (None, None),
        (ConfigError([]), ConfigError),
        (TimeoutError(), DeadlineError),
        (RuntimeError(), DefectError),
        (asyncio.CancelledError(), asyncio.CancelledError),
        (Gone(), Gone),
    ],
)
@pytest.mark.parametrize("long", [False, True])
def test_however_a_call_ends_its_work_ends_and_its_place_and_bytes_are_given_back(
    how: BaseException | None, seen: type[BaseException] | None, long: bool
) -> None:
    bounds = {"max_calls": 1, "max_streams": 1, "max_message_bytes": 2_048, "max_bytes_in_flight": 2_048}

    async def test() -> None:
        calls = Calls(Settings(**bounds))  # type: ignore[arg-type]
        call: Call | None = None
        with contextlib.nullcontext() if seen is None else pytest.raises(seen) as raised:
            async with enter(calls, long=long) as call:
                call.arrival.add(2_000)
                with pytest.raises(OverloadedError):
                    async with enter(calls, long=long):
                        pass
                async with enter(calls, long=not long):  # those have places of their own
                    pass
                if how is not None:
                    raise how
        assert raised is None or raised.type is seen
        assert call is not None
        with pytest.raises(DeadlineError):
            call.check()
        async with enter(calls, long=long) as after:
            after.arrival.add(2_000)
            after.check()

    run(test)


def test_a_call_that_has_not_come_whole_takes_no_place() -> None:
    async def test() -> None:
        calls = Calls(Settings(max_calls=1))
        async with enter(calls, whole=False) as coming:
            async with enter(calls):
                with pytest.raises(OverloadedError):
                    calls.admit(coming)
            calls.admit(coming)
            with pytest.raises(OverloadedError):
                async with enter(calls):
                    pass
        async with enter(calls):
            pass

    run(test)


def test_a_server_that_stops_answers_short_calls_and_begins_no_long_ones() -> None:
    async def test() -> None:
        calls = Calls(Settings())
        calls.stopping.set()
        async with enter(calls):
            pass
        with pytest.raises(StoppingError):
            async with enter(calls, rpc="Train", long=True):
                pass

    run(test)
