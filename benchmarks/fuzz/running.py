"""Runs a parser's inputs in children of this process, so that a crash costs one input; resumes where it was left."""

from __future__ import annotations

import faulthandler
import mmap
import os
import signal
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fuzz import findings
from benchmarks.fuzz.limits import Limits, TooSlowError, bound_memory, bounded_time, cpu_seconds
from benchmarks.fuzz.parser import Parser
from ser.errors import SerError

_INPUTS_A_CHILD = 10_000
"""A child is followed by a fresh one, so that what one input leaves behind does not hide in the next ones' memory."""
_LOOK_SECONDS = 0.05
_LONGEST_SECONDS = 120.0
"""Wall-clock time after which an input that does not compute hangs."""


@dataclass
class Tally:
    """How far a parser is, in a file that outlives the process."""

    next: int
    accepted: int
    refused: int

    @property
    def done(self) -> int:
        """Inputs that were tried."""
        return self.next


class State:
    """A parser's tally and findings in a folder, for one seed."""

    def __init__(self, folder: Path, name: str, seed: int, *, fresh: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name, self.seed = name, seed
        self.findings = folder / f"{name}-{seed}.findings"
        self.dump = folder / f"{name}-{seed}.dump"
        path = folder / f"{name}-{seed}.tally"
        if fresh or not path.exists():
            self.findings.unlink(missing_ok=True)
            path.write_bytes(bytes(_TALLY.size))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _TALLY.size)

    @property
    def tally(self) -> Tally:
        """As it stands now, whoever wrote it."""
        return Tally(*_TALLY.unpack(self._shared[:]))

    @tally.setter
    def tally(self, value: Tally) -> None:
        _TALLY.pack_into(self._shared, 0, value.next, value.accepted, value.refused)

    def input(self, parser: Parser, index: int) -> bytes:
        """An input by its number."""
        return parser.make(findings.generator(self.seed, self.name, index))


_TALLY = struct.Struct("<QQQ")


def run(parser: Parser, state: State, *, inputs: int, limits: Limits) -> None:
    """Tries inputs until so many have been tried, each in a child; what breaks the rule goes into the state."""
    while (first := state.tally.next) < inputs:
        last = min(inputs, first + _INPUTS_A_CHILD)
        pid = os.fork()
        if pid == 0:
            _child(parser, state, last, limits)
        status = _wait(pid, state, limits)
        at = state.tally
        if at.next < last:  # it died within an input
            what = f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
            dump = state.dump.read_text(errors="replace") if state.dump.exists() else ""
            size = len(state.input(parser, at.next))
            findings.write(state.findings, findings.of_crash(what, dump, at.next, size))
            state.tally = Tally(at.next + 1, at.accepted, at.refused)


def try_one(parser: Parser, data: bytes, index: int, limits: Limits) -> bool | findings.Finding:
    """Whether an input is taken, or the finding that it is."""
    try:
        with bounded_time(limits.cpu_seconds):
            parser.take(data)
    except SerError:
        return False
    except (Exception, TooSlowError) as error:  # noqa: BLE001 - all of them are what is looked for
        return findings.of_error(error, index, len(data))
    return True


def _child(parser: Parser, state: State, last: int, limits: Limits) -> None:
    """Never returns: a child of a fork must not go on with its parent's work."""
    status = 1
    try:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)  # decoders talk there
        bound_memory(limits.megabytes)
        with state.dump.open("w") as dump:
            faulthandler.enable(dump)
            faulthandler.register(signal.SIGUSR1, dump)
            for index in range(state.tally.next, last):
                found = try_one(parser, state.input(parser, index), index, limits)
                tally = state.tally
                if isinstance(found, findings.Finding):
                    findings.write(state.findings, found)
                tally.accepted += found is True
                tally.refused += found is False
                tally.next = index + 1
                state.tally = tally
        status = 0
    finally:
        os._exit(status)


def _wait(pid: int, state: State, limits: Limits) -> int:
    """Waits for a child; kills one that computes on and on, or hangs, within one input."""
    index, spent, since = -1, 0.0, time.monotonic()
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        now = state.tally.next
        if now != index:
            index, spent, since = now, cpu_seconds(pid), time.monotonic()
        elif cpu_seconds(pid) - spent > 3 * limits.cpu_seconds + 1 or time.monotonic() - since > _LONGEST_SECONDS:
            os.kill(pid, signal.SIGUSR1)  # says where it is
            time.sleep(_LOOK_SECONDS)
            os.kill(pid, signal.SIGKILL)
        time.sleep(_LOOK_SECONDS)
