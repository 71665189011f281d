"""Children do not outlive their parent, however early it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ser.processes import child_command
from tests.deadlines import tries, wait_gone

# A parent that starts a child, which would run for ever, and says its number.
PARENT = """
import subprocess, sys, time
from ser.processes import child_command
child = subprocess.Popen(child_command("tests.endless"), stdin=subprocess.DEVNULL)
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_child_dies_with_its_parent_however_early() -> None:
    for number in range(30):
        parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(number * 0.002)  # at another moment of its start each time
        parent.kill()
        parent.wait()
        parent.stdout.close()
        wait_gone(child)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_child_whose_parent_has_died_before_it_looked_ends() -> None:
    *launcher, parent, module = child_command("tests.endless")
    assert int(parent) == os.getpid()
    stranger = subprocess.run([*launcher, "1" if os.getppid() != 1 else "2", module], timeout=60, check=False)
    assert stranger.returncode == 1


def test_a_child_runs_main_of_its_module() -> None:
    child = subprocess.Popen(child_command("tests.endless"))
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.5)
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == -signal.SIGTERM
    finally:
        child.kill()
        child.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_fold_worker_does_not_finish_its_fold_when_its_parent_is_killed() -> None:
    code = (
        "import time; from ser.steps.fold_worker import _Worker\n"
        "with _Worker() as worker: print(worker._process.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    for _ in tries():
        if Path(f"/proc/{worker}/syscall").read_text().startswith("0 0x0 "):  # it reads its standard input
            break
    os.kill(worker, signal.SIGSTOP)  # as busy as one in a fold: it does not look whether more comes
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_gone(worker)
