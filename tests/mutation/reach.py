"""Which tests execute which lines, servers and steps in processes of their own included.

The whole suite runs once under coverage.py. `tests.mutation.contexts` tells it, before each test, under which name to
book the lines that follow; processes that a test starts book theirs under the name of that test, by an environment
variable that their coverage configuration reads.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coverage import CoverageData

TEST_VARIABLE = "TEST_UNDER_WAY"  # not SER_…: tests take those out of what a server gets
PACKAGES = ("ser", "inference_server", "components", "pipelines", "ser_client")
_CONFIGURATION = """
[run]
source = {sources}
data_file = {folder}/data
parallel = true
sigterm = true
context = ${{{variable}-}}
"""


@dataclass(frozen=True)
class Reach:
    """What a run of the whole suite showed."""

    lines: dict[str, dict[int, frozenset[str]]]
    """File to line to the tests that execute it; a line that runs when its module is imported may have none."""
    seconds: dict[str, float]
    """How long each test took, what it waited for included."""

    def tests_of(self, path: str, line: int) -> list[str]:
        """The tests that execute a line, the quickest first; of one that only imports execute, those of its file."""
        by_line = self.lines.get(path, {})
        found = by_line.get(line) or frozenset().union(*by_line.values())
        return sorted((test for test in found if test in self.seconds), key=lambda test: self.seconds[test])


def measure(root: Path, folder: Path, tests: Sequence[str]) -> None:
    """Runs tests under coverage, and keeps in a folder what they reach.

    Args:
        root: The checkout.
        folder: Emptied first.
        tests: What to run, as pytest takes it; nothing is all.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    configuration = folder / "coveragerc"
    sources = ",".join(str(root / package) for package in PACKAGES)
    configuration.write_text(_CONFIGURATION.format(sources=sources, folder=folder, variable=TEST_VARIABLE))
    # Python imports this module when it starts, the tests' child processes too.
    (folder / "sitecustomize.py").write_text("import coverage\ncoverage.process_startup()\n")
    environment = {
        **os.environ,
        "COVERAGE_PROCESS_START": str(configuration),
        "PYTHONPATH": os.pathsep.join((str(folder), str(root))),
        "REACH_FOLDER": str(folder),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.mutation.contexts", "-p", "no:cacheprovider", *tests]
    subprocess.run(command, cwd=root, env=environment, check=False)


def load(root: Path, folder: Path) -> Reach:
    """What `measure` kept."""
    lines: dict[str, dict[int, set[str]]] = {}
    for file in sorted(folder.glob("data.*")):
        data = CoverageData(str(file))
        data.read()
        for measured in data.measured_files():
            by_line = lines.setdefault(Path(measured).relative_to(root).as_posix(), {})
            for line, contexts in data.contexts_by_lineno(measured).items():
                by_line.setdefault(line, set()).update(context for context in contexts if context)
    frozen = {path: {line: frozenset(tests) for line, tests in by_line.items()} for path, by_line in lines.items()}
    return Reach(frozen, json.loads((folder / "seconds.json").read_text()))
