"""A plugin of pytest: books what each test executes, in this process and in those that it starts, under its name."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator
from pathlib import Path

import coverage
import pytest

from tests.mutation.reach import TEST_VARIABLE

_seconds: dict[str, float] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Names the test under way, and times it."""
    os.environ[TEST_VARIABLE] = item.nodeid
    if running := coverage.Coverage.current():
        running.switch_context(item.nodeid)
    started = time.monotonic()
    try:
        return (yield)
    finally:
        _seconds[item.nodeid] = round(time.monotonic() - started, 3)


def pytest_sessionfinish() -> None:
    """Keeps the times."""
    os.environ.pop(TEST_VARIABLE, None)
    Path(os.environ["REACH_FOLDER"], "seconds.json").write_text(json.dumps(_seconds))
