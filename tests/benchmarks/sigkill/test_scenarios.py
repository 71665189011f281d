"""That the killing finds what it is for: the same work, done carelessly and with care."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPT = """
import json, os, random, sys, tempfile
from pathlib import Path
from benchmarks.sigkill.scenarios import Scenario, play, refer

def careless(folder):
    for number in range(20):
        (folder / f"{number}.txt").write_text("whole" if number else "")
    (folder / "stamp").write_text("")
    with (folder / "0.txt").open("a") as file:   # the stamp comes too early
        os.listdir(folder)
        file.write("whole")

def careful(folder):
    for number in range(20):
        (folder / "0.txt.new").write_text("whole")
        (folder / "0.txt.new").rename(folder / f"{number}.txt")
    (folder / "stamp").write_text("")

def littering(folder):
    careful(folder)
    handle, name = tempfile.mkstemp()
    for _ in range(100):
        os.listdir(folder)
    os.unlink(name)

def orphaning(folder):
    careful(folder)
    import subprocess
    child = subprocess.Popen(["sleep", "60"])
    for _ in range(50):
        os.listdir(folder)
    child.kill()
    child.wait()

def check(folder):
    wrong = (folder / "stamp").exists() and (folder / "0.txt").read_text() != "whole"
    return ["stamped and not whole"] if wrong else []

found = {}
for work in (careless, careful, littering, orphaning):
    scenario = Scenario(work.__name__, work, check=check)
    place = Path(sys.argv[1]) / work.__name__
    reference = refer(scenario, place)
    outcomes = [play(scenario, reference, random.Random(f"1/{number}"), place) for number in range(int(sys.argv[2]))]
    kills = sum(outcome.kills for outcome in outcomes)
    found[work.__name__] = {"kills": kills, "problems": [one for outcome in outcomes for one in outcome.problems]}
print(json.dumps(found))
"""


def played(folder: Path, episodes: int) -> dict[str, Any]:
    # A process of its own: forks of this one would have all that other tests have imported and started.
    command = [sys.executable, "-c", SCRIPT, str(folder), str(episodes)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_kills_find_what_careless_work_leaves_and_nothing_where_care_is_taken(tmp_path: Path) -> None:
    found = played(tmp_path, episodes=5)
    assert all(one["kills"] for one in found.values())  # how many, a busy machine decides
    assert found["careful"]["problems"] == []
    assert any("stamped and not whole" in problem for problem in found["careless"]["problems"])
    assert any(problem.startswith("left behind: tmp/") for problem in found["littering"]["problems"])
    assert any("lived on" in problem and "sleep 60" in problem for problem in found["orphaning"]["problems"])
