"""Kills everything that writes by SIGKILL at random moments, and looks at what is left and at what comes out.

    python -m benchmarks.sigkill --kills 1000 --state FOLDER

Each episode begins anew, kills one thing one to five times (its whole group, or its first process only; after a random
time, or before a random call of the file system), checks after each kill that nothing half made is taken for whole,
then lets it finish: what comes out must be, byte for byte where it does not tell the time, that of a run that was never
killed, and nothing may be left behind, in the temporary folder neither. Work runs in forks of this process, which has
imported TensorFlow, so that most kills cost about a second; the server, the protocol and the pipeline are slow, and
are killed less often. Episodes follow from `--seed` and their number; those that are done are kept in `--state`, and
the same command goes on where it was stopped. `--only` takes a part of a scenario's name.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.models import ensure_models
from benchmarks.sigkill import servers, steps, stores
from benchmarks.sigkill.helpers import file_server, object_store
from benchmarks.sigkill.scenarios import Outcome, Reference, Scenario, play, refer
from ser.storage.files import write_json

_CLIPS = 70
_PORT_FILE = "port"
Episode = Callable[[random.Random, Path], Outcome]


def main() -> None:
    """Prints a line a scenario, and every finding; exits with 1 if there is one."""
    arguments = _arguments()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    state: Path = arguments.state.resolve()
    state.mkdir(parents=True, exist_ok=True)
    plain, adaptive = ensure_models(state)
    with file_server(_corpus(state), _port(state)) as address, object_store() as s3:
        (state / _PORT_FILE).write_text(address.rpartition(":")[2])
        _import_everything()
        url = f"{address}/corpus.zip"
        killable = [*steps.scenarios(state / "begin", url, _CLIPS), *stores.scenarios(plain, adaptive, s3)]
        episodes: dict[str, tuple[Episode, float]] = {
            one.name: (partial(_play, state, one), one.weight) for one in killable
        }
        episodes["jobs in a server"] = (partial(servers.jobs, state / "data"), 0.6)
        episodes["enrolment in a server"] = (partial(servers.enrolment, adaptive), 0.6)
        chosen = {name: one for name, one in episodes.items() if arguments.only in name}
        done = _run(state, chosen, arguments.seed, arguments.kills)
    _print(done)
    sys.exit(1 if any(one["problems"] for one in done) else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--state", type=Path, default=Path("sigkill-state"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="scenarios whose name has this in it")
    return parser.parse_args()


def _run(state: Path, episodes: Mapping[str, tuple[Episode, float]], seed: int, kills: int) -> list[dict[str, Any]]:
    """Plays episodes until there were so many kills; one is counted when it is over."""
    path, console = state / f"episodes-{seed}.jsonl", Console()
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    done = [json.loads(line) for line in lines]
    names, weights = list(episodes), [weight for _, weight in episodes.values()]
    begun, before = time.monotonic(), sum(one["kills"] for one in done)
    for number in range(len(done), 100 * kills):
        had = sum(one["kills"] for one in done)
        if had >= kills:
            break
        rng = random.Random(f"{seed}/{number}")  # noqa: S311 - moments are no secrets
        name = rng.choices(names, weights)[0]
        started = time.monotonic()
        outcome = episodes[name][0](rng, state / "episode")
        done.append({"number": number, "scenario": name, "seconds": time.monotonic() - started, **asdict(outcome)})
        with path.open("a") as file:
            file.write(json.dumps(done[-1]) + "\n")
        for problem in outcome.problems:
            console.print(f"{number}, {name}: {problem}", markup=False, soft_wrap=True)
        if outcome.problems:
            (state / "episode").rename(state / f"episode-{seed}-{number}")  # to be looked at
        rate = (had + outcome.kills - before) / (time.monotonic() - begun) * 60
        console.print(f"{had + outcome.kills} kills, {rate:.0f} a minute; {name}", style="dim", soft_wrap=True)
    return done


def _play(state: Path, scenario: Scenario, rng: random.Random, place: Path) -> Outcome:
    path = state / "references" / f"{scenario.name.replace(' ', '-')}.json"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        write_json(path, asdict(refer(scenario, state / "reference")))
    return play(scenario, Reference(**json.loads(path.read_text())), rng, place)


def _print(done: list[dict[str, Any]]) -> None:
    table = Table("scenario", "episodes", "kills", "findings", "seconds a kill", box=None)
    counts: dict[str, Counter[str]] = {}
    for one in done:
        count = counts.setdefault(str(one["scenario"]), Counter())
        count["episodes"] += 1
        for name in ("kills", "seconds"):
            count[name] += one[name]
        count["findings"] += len(one["problems"])
    for name, count in [*counts.items(), ("together", sum(counts.values(), Counter()))]:
        seconds = f"{count['seconds'] / max(1, count['kills']):.1f}"
        table.add_row(name, str(count["episodes"]), str(count["kills"]), str(count["findings"]), seconds)
    Console().print(table)


def _corpus(state: Path) -> Path:
    """A folder with a corpus zip to be downloaded."""
    from ser.synthesis import synthesise_corpus

    folder = state / "served"
    if not (folder / "corpus.zip").exists():
        folder.mkdir(exist_ok=True)
        synthesise_corpus(folder / "making.zip", clips=_CLIPS, seed=1)
        (folder / "making.zip").rename(folder / "corpus.zip")
    return folder


def _port(state: Path) -> int:
    """The port of the last time: what was downloaded is known by its address."""
    path = state / _PORT_FILE
    return int(path.read_text()) if path.exists() else 0


def _import_everything() -> None:
    """What steps import when they need it, so that forks need not."""
    import keras  # noqa: F401
    import matplotlib.pyplot as plt  # noqa: F401

    import ser.evaluation.plots
    import ser.networks.export
    import ser.networks.training_loop
    import ser.synthesis  # noqa: F401


if __name__ == "__main__":
    main()
