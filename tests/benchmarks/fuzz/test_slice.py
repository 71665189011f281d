"""A slice of what `python -m benchmarks.fuzz` does: each input is taken, or refused by an error of SER's."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fuzz import findings
from benchmarks.fuzz.limits import Limits
from benchmarks.fuzz.mutation import mutate
from benchmarks.fuzz.parser import Parser, expect
from benchmarks.fuzz.parsers import ALL
from benchmarks.fuzz.running import State, run
from ser.bundles.bundle import Bundle
from ser.errors import AudioError

INPUTS = 150
REFUSES_BY_AN_ANSWER = ("websocket", "http")


@pytest.fixture(scope="module")
def fuzzed(bundle: Bundle, adaptive: Bundle, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    state = tmp_path_factory.mktemp("fuzz")
    for model in (bundle, adaptive):
        shutil.copytree(model.folder, state / "models" / model.folder.name)
    out = state / "fuzz.json"
    command = [sys.executable, "-m", "benchmarks.fuzz", "--inputs", str(INPUTS), "--seed", "7"]
    done = subprocess.run(
        [*command, "--state", str(state), "--out", str(out)], capture_output=True, text=True, timeout=300, check=False
    )
    assert out.exists(), done.stderr
    found: dict[str, Any] = json.loads(out.read_text())["parsers"]
    return found


@pytest.mark.parametrize("name", ALL)
def test_each_input_is_taken_or_refused_by_an_error_of_ours(name: str, fuzzed: dict[str, Any]) -> None:
    one = fuzzed[name]
    assert [f"{found['name']}: {found['message']}" for found in one["findings"]] == []
    assert one["next"] == INPUTS
    assert one["accepted"] > 0
    assert one["refused"] > 0 or name in REFUSES_BY_AN_ANSWER


def take(data: bytes) -> None:
    """One input of each kind of end."""
    match data:
        case b"refused":
            raise AudioError("no")
        case b"wrong":
            expect(False, "a promise, got none")
        case b"error":
            raise KeyError("x")
        case b"slow":
            for _ in itertools.count():
                pass
        case b"crash":
            os.abort()
        case b"large":
            bytearray(1 << 30)


ENDS = (b"taken", b"refused", b"wrong", b"error", b"slow", b"crash", b"large")


def test_what_is_neither_taken_nor_refused_is_found_and_the_rest_goes_on(tmp_path: Path) -> None:
    parser = Parser(lambda rng: rng.choice(ENDS), take)
    state = State(tmp_path, "each", 0)
    run(parser, state, inputs=30, limits=Limits(cpu_seconds=0.2, megabytes=256))
    run(parser, State(tmp_path, "each", 0), inputs=50, limits=Limits(cpu_seconds=0.2, megabytes=256))  # goes on

    inputs = [state.input(parser, index) for index in range(50)]
    assert set(inputs) == set(ENDS)
    tally = state.tally
    assert (tally.next, tally.accepted, tally.refused) == (50, inputs.count(b"taken"), inputs.count(b"refused"))
    buckets = findings.gather(findings.read(state.findings), lambda index: state.input(parser, index))
    assert {bucket.name: bucket.count for bucket in buckets} == {
        "broken promise: a promise": inputs.count(b"wrong"),
        "KeyError at outside of SER": inputs.count(b"error"),
        "TooSlowError at outside of SER": inputs.count(b"slow"),
        "killed by SIGABRT at outside of SER": inputs.count(b"crash"),
        "MemoryError at outside of SER": inputs.count(b"large"),
    }
    assert all(parser.make(findings.generator(0, "each", bucket.index)) in ENDS for bucket in buckets)


def test_inputs_follow_from_seed_parser_and_number_alone() -> None:
    seeds = [b"RIFF\x24\x00\x00\x00WAVEfmt " * 8, b"other" * 30]
    inputs = [mutate(findings.generator(3, "audio", index), seeds) for index in range(300)]
    assert inputs == [mutate(findings.generator(3, "audio", index), seeds) for index in range(300)]
    assert len(set(inputs)) > 280
