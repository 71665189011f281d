"""Child processes that give way to others and do not outlive their parent.

`child_command` is the command of one. It runs this module first, which takes a few milliseconds, so that the kernel
knows what to do when the parent dies long before the child has imported what it needs.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
LOWEST = 19
"""The niceness of trainings."""


def child_command(module: str) -> list[str]:
    """The command that runs `main` of a module in a process that ends when this one does, however that happens.

    The kernel ends it when the thread that started it ends: start it from one that lives as long as it should.
    """
    return [sys.executable, "-m", "ser.processes", str(os.getpid()), module]


def be_polite() -> None:
    """Gives way to whatever else wants the processor, serving above all."""
    os.nice(LOWEST)
    if hasattr(os, "SCHED_BATCH"):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def die_with_parent(parent: int) -> None:
    """Lets the kernel kill this process when its parent dies, on Linux: nobody else would end it then.

    Args:
        parent: The parent's process id, as the parent knows it. If it is not this process's parent any more, it died
            before the kernel was told, and this process ends here.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def main() -> None:
    """What `child_command` runs."""
    parent, module = sys.argv[1:]
    die_with_parent(int(parent))
    importlib.import_module(module).main()


if __name__ == "__main__":
    main()
