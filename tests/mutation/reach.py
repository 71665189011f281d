"""Which tests execute which lines, servers and steps in processes of their own included.

The whole suite runs once under coverage.py. `tests.mutation.contexts` tells it, before each test, under which name to
book the lines that follow; processes that a test starts book theirs under the name of that test, by an environment
variable that their coverage configuration reads.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coverage import CoverageData

from ser.parallel import available_cores

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
class Test:
    """A test, as it ran once."""

    __test__ = False  # pytest, it is none
    seconds: float
    """How long it took, what it waited for included."""
    shared: tuple[str, ...]
    """The fixtures that it has in common with others, a server for one."""


@dataclass(frozen=True)
class Reach:
    """What a run of the whole suite showed."""

    lines: dict[str, dict[int, frozenset[str]]]
    """File to line to the tests, and the shared fixtures, that execute it; a line that runs when its module is imported
    may have none."""
    tests: dict[str, Test]

    def tests_of(self, path: str, *places: tuple[str, int]) -> list[str]:
        """The tests that execute a place, then those whose shared fixtures do, then all of a file.

        Of each, those that the file's name or folder says are its own, then the quickest. The last are for lines that
        run once a process: when a module is imported, or when a cache is filled.

        Args:
            path: The file.
            places: Files and lines, the likeliest to tell first.
        """
        of_file: frozenset[str] = frozenset().union(*self.lines.get(path, {}).values())
        ordered: dict[str, None] = {}
        for reaching in (*(self.lines.get(file, {}).get(line, frozenset()) for file, line in places), of_file):
            users = (name for name, test in self.tests.items() if not reaching.isdisjoint(test.shared))
            for names in (reaching & self.tests.keys(), users):
                ordered |= dict.fromkeys(sorted(names, key=functools.partial(self._rank, path)))
        return list(ordered)

    def _rank(self, path: str, name: str) -> tuple[bool, bool, float, str]:
        folder, _, file = f"tests/{path}".rpartition("/")
        return f"/test_{file}::" not in name, not name.startswith(f"{folder}/"), self.tests[name].seconds, name


def measure(root: Path, folder: Path, tests: Sequence[str]) -> None:
    """Runs tests under coverage, and keeps in a folder what they reach.

    Args:
        root: The checkout.
        folder: What was measured before is removed, unless it is of tests beside these.
        tests: What to run, as pytest takes it; nothing is all.
    """
    if not tests:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
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
    plugins = ["-p", "tests.mutation.contexts", "-p", "no:cacheprovider"]
    parallel = ["-n", str(available_cores()), "--dist", "loadfile"]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, *parallel, *tests]
    subprocess.run(command, cwd=root, env=environment, check=False)


def load(root: Path, folder: Path) -> Reach:
    """What `measure` kept, of the tests that there are still."""
    lines: dict[str, dict[int, set[str]]] = {}
    for file in sorted(folder.glob("data.*")):
        data = CoverageData(str(file))
        data.read()
        for measured in data.measured_files():
            by_line = lines.setdefault(Path(measured).relative_to(root).as_posix(), {})
            for line, contexts in data.contexts_by_lineno(measured).items():
                by_line.setdefault(line, set()).update(context for context in contexts if context)
    frozen = {path: {line: frozenset(tests) for line, tests in by_line.items()} for path, by_line in lines.items()}
    tests: dict[str, Test] = {}
    for part in sorted(folder.glob("tests-*.json")):
        content: dict[str, tuple[float, list[str]]] = json.loads(part.read_text(encoding="utf-8"))
        tests |= {name: Test(seconds, tuple(shared)) for name, (seconds, shared) in content.items()}
    return Reach(frozen, {name: tests[name] for name in tests.keys() & _collected(root)})


def _collected(root: Path) -> set[str]:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    listed = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    return {line for line in listed.stdout.splitlines() if "::" in line}
