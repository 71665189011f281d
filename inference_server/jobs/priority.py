"""What a child process asks of the operating system: little of the processor, and no life after its parent's."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
LOWEST = 19
"""The niceness of trainings."""


def be_polite() -> None:
    """Gives way to whatever else wants the processor, serving above all."""
    os.nice(LOWEST)
    if hasattr(os, "SCHED_BATCH"):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def die_with_parent() -> None:
    """Lets the kernel kill this process when its parent dies, on Linux: nobody else would end it then."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # died between the two
        sys.exit(1)
