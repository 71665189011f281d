"""Waiting with an end."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator

import pytest

SECONDS = 300.0
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


def wait_gone(pid: int, seconds: float = 30.0) -> None:
    """Waits until the kernel has ended a process whose parent died; the test fails if it lives on."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], seconds)[0], f"process {pid} outlives its parent"
    finally:
        os.close(descriptor)
