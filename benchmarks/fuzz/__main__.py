"""Fuzzes every parser that meets a stranger's bytes, with seeded mutations of right inputs.

    python -m benchmarks.fuzz --inputs 100000 --seed 0 --out fuzz.json

Each input must be taken, or refused by a `SerError`. Anything else is a finding: another exception, a broken promise
about the answer, a crash of the process, more than two seconds of processor time or a gigabyte of memory. Findings are
gathered by the error's kind and the innermost place in our sources, the smallest input of each kept as base64. Inputs
run in children of this process; what has been tried is kept in `--state`, and the same command goes on where it was
stopped. `--only` takes names from the table; `--replay NAME:INDEX` runs one input here, with its traceback.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.fuzz import findings
from benchmarks.fuzz.limits import Limits
from benchmarks.fuzz.parser import Parser, Surroundings
from benchmarks.fuzz.parsers import ALL
from benchmarks.fuzz.running import State, run
from benchmarks.models import ensure_models

_MEMORY = Path("/dev/shm")  # noqa: S108 - where folders cost no disk; the system makes the name


def main() -> None:
    """Prints a line a parser; exits with 1 if anything was found."""
    arguments = _arguments()
    console = Console()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    logging.disable(logging.WARNING)
    around = _Around(*ensure_models(arguments.state))
    if arguments.replay:
        name, _, index = arguments.replay.partition(":")
        with around.of(name) as parser:
            print(parser.take(parser.make(findings.generator(arguments.seed, name, int(index)))))
        return
    table = Table("parser", "inputs", "taken", "refused", "findings", "places", "a second", box=None)
    result = {}
    for name in arguments.only.split(",") if arguments.only else ALL:
        state = State(arguments.state, name, arguments.seed, fresh=arguments.fresh)
        before, started = state.tally.done, time.monotonic()
        with around.of(name) as parser:
            run(parser, state, inputs=arguments.inputs, limits=Limits())
            buckets = findings.gather(findings.read(state.findings), lambda i, p=parser, s=state: s.input(p, i))  # type: ignore[misc]
        tally, found = state.tally, sum(bucket.count for bucket in buckets)
        rate = (tally.done - before) / (time.monotonic() - started)
        table.add_row(name, *map(str, (tally.done, tally.accepted, tally.refused, found, len(buckets))), f"{rate:.0f}")
        result[name] = {**asdict(tally), "a_second": round(rate), "findings": [asdict(bucket) for bucket in buckets]}
        for bucket in buckets:
            console.print(
                f"{name}: {bucket.count} x {bucket.name}: {bucket.message[:160]} ({name}:{bucket.index})", markup=False
            )
        if arguments.out:
            arguments.out.write_text(json.dumps({"seed": arguments.seed, "parsers": result}, indent=1))
    console.print(table)
    sys.exit(1 if any(one["findings"] for one in result.values()) else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000, help="of each parser")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help=f"comma-separated, of: {', '.join(ALL)}")
    parser.add_argument("--state", type=Path, default=Path(tempfile.gettempdir()) / "ser-fuzz")
    parser.add_argument("--fresh", action="store_true", help="forget what was tried before")
    parser.add_argument("--out", type=Path, help="write everything here, as JSON")
    parser.add_argument("--replay", default="", help="one input, as audio:17")
    return parser.parse_args()


class _Around:
    """Makes parsers, each with a folder of its own."""

    def __init__(self, plain: Path, adaptive: Path) -> None:
        self._models = plain, adaptive

    @contextlib.contextmanager
    def of(self, name: str) -> Iterator[Parser]:
        """A parser, whose folder is removed in the end."""
        with tempfile.TemporaryDirectory(prefix="ser-fuzz-", dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
            yield ALL[name](Surroundings(Path(folder), *self._models))


if __name__ == "__main__":
    main()
