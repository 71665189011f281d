"""Tries a sample of faults; see `tests.mutation`."""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutation import reach, results
from tests.mutation.faults import Fault, faults_of, readers_of, told_apart
from tests.mutation.results import Result

ROOT = Path(__file__).parents[2]
REACH = ROOT / ".mutation"
PLACES = ("components/*/*.py", "pipelines/*.py", "inference_server/*.py", "inference_server/*/*.py", "ser/**/*.py")
"""Where a fault is silent; what is shown, spoken or drawn is left out: tests of it would repeat it."""
LEFT_OUT = (
    "pipelines/run_log.py",
    "ser/cli/",
    "ser/evaluation/canvas.py",
    "ser/evaluation/plots.py",
    "ser/synthesis/",
)
_MOST_TEST_SECONDS = 100.0
"""A line that more is run for is judged by the quickest tests of that many seconds in all."""


def main() -> None:
    """Goes on with the sample; exit status 1 if a fault is noticed by no test and explained by nobody."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=200, help="faults to try, the first of an order that --seed says")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="faults tried at once, each in a copy of the checkout")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long; the next run goes on")
    parser.add_argument(
        "--reach", nargs="*", metavar="TESTS", help="find out anew which lines tests reach: all tests, or these beside"
    )
    parser.add_argument("--only", default="", help="faults in files whose path contains this")
    parser.add_argument("--survivors", action="store_true", help="list what no test noticed, and try nothing")
    arguments = parser.parse_args()
    sample = sampled(arguments.seed, arguments.only)[: arguments.sample]
    if not arguments.survivors:
        if arguments.reach is not None or not any(REACH.glob("tests-*.json")):
            reach.measure(ROOT, REACH, arguments.reach or [])
        known = results.read()
        left = [fault for fault in sample if fault.identity not in known]
        _try_all(left, arguments.jobs, time.monotonic() + 60 * arguments.minutes)
    sys.exit(_report(sample))


def sampled(seed: int, only: str = "") -> list[Fault]:
    """All faults in an order that the seed says; a fault that is new changes the order of no other two."""
    paths = sorted({path for place in PLACES for path in ROOT.glob(place)})
    names = [
        name for path in paths if only in (name := path.relative_to(ROOT).as_posix()) and not name.startswith(LEFT_OUT)
    ]
    found = [fault for name in names for fault in faults_of(name, (ROOT / name).read_bytes())]
    return sorted(told_apart(found), key=lambda fault: hashlib.sha256(f"{seed} {fault.identity}".encode()).digest())


def _try_all(faults: Sequence[Fault], jobs: int, end: float) -> None:
    known = reach.load(ROOT, REACH)
    with tempfile.TemporaryDirectory(prefix="ser-mutation-") as name, ThreadPoolExecutor(jobs) as pool:
        copies = [_copy(Path(name) / str(number)) for number in range(jobs)]

        def one(fault: Fault) -> None:
            if time.monotonic() > end:
                return
            copy = copies.pop()
            try:
                result = _try(fault, copy, known)
            finally:
                copies.append(copy)
            results.add(result)
            print(
                f"{result.outcome:9} {fault.path}:{fault.line} {fault.kind}: {fault.old[:60]!r}  {result.by}",
                flush=True,
            )

        for _ in pool.map(one, faults):
            pass


def _copy(target: Path) -> Path:
    """The files of the checkout as they are, without what git ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],  # noqa: S607 - whichever git there is
        cwd=ROOT, capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)
    return target


def _places(fault: Fault, copy: Path) -> list[tuple[str, int]]:
    """Lines that show the fault when they run: its own; of what is made at an import, those that read it."""
    if fault.body:
        return [(fault.path, fault.body)]
    if not fault.variable:
        return [(fault.path, fault.line)]
    found = []
    others = [] if fault.variable.startswith("_") else sorted(path for place in PLACES for path in copy.glob(place))
    for file in dict.fromkeys([copy / fault.path, *others]):
        lines = readers_of(fault.variable, file.read_bytes())
        found += [(file.relative_to(copy).as_posix(), line) for line in lines]
    return found


def _try(fault: Fault, copy: Path, known: reach.Reach) -> Result:
    tests = list(_within(known.tests_of(fault.path, *_places(fault, copy)), known))
    outcome, by = results.UNREACHED, ""
    if tests:
        file = copy / fault.path
        before = file.read_bytes()
        file.write_bytes(fault.apply(before))
        try:
            if fault.path.startswith(("components/", "pipelines/")):  # as a developer would
                _run(copy, [sys.executable, "-m", "ser", "pipeline", "compile"], 120)
            seconds = sum(known.tests[test].seconds for test in tests)
            # By a file: a command line has room for some thousand of them only.
            chosen = copy / "chosen-tests.txt"
            chosen.write_text("\n".join(tests), encoding="utf-8")
            command = [sys.executable, "-m", "pytest", *_PYTEST, f"@{chosen}"]
            outcome, by = _judge(_run(copy, command, 120 + 4 * seconds))
        finally:
            file.write_bytes(before)
            for compiled in (ROOT / "pipelines" / "compiled").glob("*.yaml"):
                shutil.copyfile(compiled, copy / "pipelines" / "compiled" / compiled.name)
    return Result(fault.identity, fault.path, fault.kind, fault.old, fault.new, outcome, by)


_PYTEST = ("-x", "-q", "-rfE", "--tb=no", "-p", "no:cacheprovider")


def _within(tests: Iterable[str], known: reach.Reach) -> Iterable[str]:
    left = _MOST_TEST_SECONDS
    for test in tests:
        left -= known.tests[test].seconds
        if left < 0:
            return
        yield test


def _run(copy: Path, command: Sequence[str], seconds: float) -> tuple[int | None, str]:
    """Exit status and output; a status of None if it had to be ended, with all that it started."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "TMPDIR": str(copy.parent)}
    with subprocess.Popen(
        command, cwd=copy, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.communicate()
            return None, ""
    return process.returncode, output


def _judge(ended: tuple[int | None, str]) -> tuple[str, str]:
    status, output = ended
    if status is None:
        return results.TIMED_OUT, ""
    if status == 0:
        return results.SURVIVED, ""
    failed = [line.split(" ", 1)[1] for line in output.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    # Failures, or files that could not even be imported: then a test of such a file is not found, or nothing is.
    imported = "while loading conftest" not in output
    if status not in (1, 2) and not (status == 4 and (failed or not imported)):
        raise RuntimeError(f"pytest ended with {status}: {output[-2000:]}")
    return results.KILLED, failed[0].partition(" - ")[0] if failed else f"pytest ended with {status}"


def _report(sample: Sequence[Fault]) -> int:
    known, explained = results.read(), results.reasons()
    tried = [known[fault.identity] for fault in sample if fault.identity in known]
    open_ones = [one for one in tried if not one.noticed and one.identity not in explained]
    lines = {fault.identity: fault.line for fault in sample}
    for one in open_ones:
        print(f"{one.identity} {one.path}:{lines[one.identity]} {one.kind}: {one.old!r} -> {one.new!r} ({one.outcome})")
    print("\n".join(results.table(tried)))
    return 1 if open_ones else 0


if __name__ == "__main__":
    main()
