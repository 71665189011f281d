"""Waiting with an end."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

SECONDS = 120.0
"""Far more than anything here takes on a busy machine."""


def tries(seconds: float = SECONDS) -> Iterator[None]:
    """Turns of a loop that waits, with short pauses; the test fails once there is no time left.

    Example:
        for _ in tries():
            if server_is_up():
                break
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.01)
    pytest.fail(f"waited {seconds:g} s in vain")
