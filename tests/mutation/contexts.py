"""A plugin of pytest: books what each test executes, in this process and in those that it starts, under its name.

What a fixture of a file or of the session executes is booked under the fixture's name instead, for the test that
happens to come first is not the only one that would notice: so is all that a server does that such a fixture started.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import coverage
import pytest

from tests.mutation.reach import TEST_VARIABLE, Test

_tests: dict[str, Test] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Names the test under way, times it, and notes which shared fixtures it uses."""
    _book(item.nodeid)
    started = time.monotonic()
    try:
        return (yield)
    finally:
        info: Any = getattr(item, "_fixtureinfo", None)
        used = [found[-1] for found in info.name2fixturedefs.values()] if info else []
        shared = [_name(fixture) for fixture in used if _is_shared(fixture)]
        _tests[item.nodeid] = Test(round(time.monotonic() - started, 3), tuple(sorted(shared)))


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any) -> Generator[None, object, object]:
    """Names a shared fixture while it is made."""
    if not _is_shared(fixturedef):
        return (yield)
    before = os.environ[TEST_VARIABLE]
    _book(_name(fixturedef))
    try:
        return (yield)
    finally:
        _book(before)


def pytest_sessionfinish() -> None:
    """Keeps what was noted; several processes may have run parts of the tests."""
    os.environ.pop(TEST_VARIABLE, None)
    if running := coverage.Coverage.current():
        running.save()
    if _tests:
        content = {name: (test.seconds, test.shared) for name, test in _tests.items()}
        Path(os.environ["REACH_FOLDER"], f"tests-{os.getpid()}.json").write_text(json.dumps(content))


def _book(name: str) -> None:
    os.environ[TEST_VARIABLE] = name
    if running := coverage.Coverage.current():
        running.switch_context(name)


def _name(fixture: Any) -> str:
    return f"fixture {fixture.baseid}::{fixture.argname}"


def _is_shared(fixture: Any) -> bool:
    return bool(fixture.scope != "function")
