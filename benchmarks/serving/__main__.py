"""SER's server against Flask, a plain gRPC server, LitServe and BentoML, in one run, with the same weights.

    python3.11 -m venv baselines && baselines/bin/pip install -r benchmarks/serving/requirements.txt
    python -m benchmarks.serving --python baselines/bin/python
    python -m benchmarks.serving --against COMMIT --rounds 9    # SER by the code of another commit, and nothing else

A model is trained on the embedded corpus first. Then, in each round, each server in its turn is started (seconds to
its first right answer), warmed, called by one caller (p50, p99), by eight (calls a second), looked at (memory of its
largest process), and stopped. All get the same WAV of 3 seconds, keep connections open, and have one thread for BLAS
and TensorFlow in each process; SER, LitServe and BentoML have a worker a core. All answers agree to 0.001. The
generator runs on the same cores as the server. Figures are medians over the rounds; ratios are of the medians. SER is
also called by one caller while a training runs. With `--against` the same model is served by the code of another
commit as well, in turns: a difference counts if it is greater than that code's own between rounds. "In the process" is
the same prediction by one thread without a server around it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.server_process import clip as make_clip
from benchmarks.serving.ratios import print_ratios
from benchmarks.serving.revision import THIS, Revision, checked_out
from benchmarks.serving.systems import IN_PROCESS, Running, System, baselines, ours, probabilities, running
from ser.parallel import available_cores
from ser_inference_server.workers import WORKER_ENVIRONMENT

Figures = dict[str, list[float]]
_AIMS = {"(a)": (20, 30), "(b)": (2.5, 3), "(c)": (3, 4)}
"""How many times as fast for one caller, and how many times the calls a second of eight."""


def main() -> None:
    """Prints the table, and what was aimed at."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default="python3", help="the interpreter that has the others' packages")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each load")
    parser.add_argument("--only", default="", help="names that contain one of these words, comma-separated")
    parser.add_argument("--against", default="", help="serve by the code of this commit too")
    parser.add_argument("--json", type=Path, help="write the figures of each round here")
    arguments = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        other = stack.enter_context(checked_out(arguments.against)) if arguments.against else None
        bundles = _bundles(other, folder)
        clip = folder / "clip.wav"
        clip.write_bytes(make_clip())
        compared = _systems(arguments, bundles, console)
        figures: dict[str, Figures] = {system.name: {} for system in compared}
        alone: dict[str, Figures] = {revision.name: {} for revision in bundles}
        expected: dict[str, float] = {}
        for number in range(arguments.rounds):
            for revision, bundle in bundles.items():
                taken, expected = _in_process(revision, bundle, clip, arguments.seconds, expected)
                _keep(alone[revision.name], taken)
            for system in compared if number % 2 else reversed(compared):  # who comes first has no luck by it
                with running(system, clip, folder / "log.txt") as server:
                    expected = _check(system.name, probabilities(server.answer), expected)
                    _keep(figures[system.name], _measure(server, clip, arguments.seconds))
            console.print(f"round {number + 1} of {arguments.rounds} done", style="dim")
    _print(console, compared, figures, arguments.rounds)
    print_ratios(console, figures, alone, THIS.name, other.name if other else None)
    if arguments.json:
        arguments.json.write_text(json.dumps({**figures, "in the process": alone}, indent=1))


def _bundles(other: Revision | None, folder: Path) -> dict[Revision, Path]:
    """The bundle that the code of each commit serves: one for both if both can read it."""
    if other is None:
        return {THIS: THIS.train(folder)}
    bundle = other.train(folder / "other")
    return {THIS: bundle if THIS.opens(bundle) else THIS.train(folder), other: bundle}


def _systems(arguments: argparse.Namespace, bundles: Mapping[Revision, Path], console: Console) -> list[System]:
    words = [word for word in arguments.only.lower().split(",") if word]
    compared = [one for revision, bundle in bundles.items() for one in ours(revision, bundle, available_cores())]
    for system in baselines(bundles[THIS], arguments.python):
        if (words or arguments.against) and not any(word in system.name.lower() for word in words):
            continue
        if system.module and not _has(arguments.python, system.module):
            console.print(f"{system.name}: {arguments.python} has no {system.module}, left out")
            continue
        compared.append(system)
    return compared


def _keep(figures: Figures, more: Mapping[str, float]) -> None:
    for key, value in more.items():
        figures.setdefault(key, []).append(value)


def _in_process(
    revision: Revision, bundle: Path, clip: Path, seconds: float, expected: dict[str, float]
) -> tuple[dict[str, float], dict[str, float]]:
    """The prediction without a server, by the code of a commit, with a worker's environment."""
    command = [sys.executable, str(IN_PROCESS), str(bundle.parent), bundle.name, str(clip), str(seconds)]
    environment = {**revision.environment, **WORKER_ENVIRONMENT}
    done = subprocess.run(command, cwd=revision.root, env=environment, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    times = sorted(found["milliseconds"])
    expected = _check(f"{revision.name} in the process", found["probabilities"], expected)
    return {"p50_ms": statistics.median(times), "p99_ms": _p99(times)}, expected


def _has(python: str, module: str) -> bool:
    return subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def _check(name: str, got: dict[str, float], expected: dict[str, float]) -> dict[str, float]:
    """All answer alike, or the comparison means nothing."""
    if expected and any(abs(expected[label] - got.get(label, -1)) > 1e-3 for label in expected):
        raise RuntimeError(f"{name} answers {got}, expected {expected}")
    return expected or got


def _measure(server: Running, clip: Path, seconds: float) -> dict[str, float]:
    server.load(clip, callers=8, seconds=2)  # every worker is warm then
    alone = sorted(server.load(clip, callers=1, seconds=seconds)["milliseconds"])
    eight = server.load(clip, callers=8, seconds=seconds)
    found = {
        "start_seconds": server.start_seconds,
        "p50_ms": statistics.median(alone),
        "p99_ms": _p99(alone),
        "calls_a_second": len(eight["milliseconds"]) / eight["seconds"],
        "rss_mb": server.largest_rss_bytes() / 1e6,
    }
    if server.system.name.startswith("SER, HTTP"):
        found["p99_in_training_ms"] = _in_training(server, clip, seconds)
    return found


def _in_training(server: Running, clip: Path, seconds: float) -> float:
    roots = server.system.environment

    def ask(verb: str, path: str, body: dict[str, Any] | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", server.system.port, timeout=60)
        try:
            content = json.dumps(body) if body is not None else None
            connection.request(verb, path, content, {"content-type": "application/json"})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    order = {
        "data_path": roots["SER_DATA_ROOT"], "remote_url": "embedded:", "model_type": "KerasDropoutClassifier",
        "model_save_path": roots["SER_MODEL_ROOT"], "model_config": {"epochs": 100_000},
    }  # fmt: skip
    job_id = ask("POST", "/jobs", order)["job_id"]
    try:
        while ask("GET", f"/jobs/{job_id}").get("progress", {}).get("stage") != "train":
            server.load(clip, callers=1, seconds=0.2)
        return _p99(sorted(server.load(clip, callers=1, seconds=seconds)["milliseconds"]))
    finally:
        ask("POST", f"/jobs/{job_id}:cancel", {})


def _p99(times: list[float]) -> float:
    return times[min(len(times) - 1, int(0.99 * len(times)))]


def _print(console: Console, compared: list[System], figures: dict[str, Figures], rounds: int) -> None:
    middle = {name: {key: statistics.median(values) for key, values in one.items()} for name, one in figures.items()}
    table = Table(
        "", "p50 (ms)", "p99 (ms)", "calls a second, 8 callers", "start (s)", "memory (MB)",
        title=f"medians of {rounds} rounds, {available_cores()} cores", box=None,
    )  # fmt: skip
    for system in compared:
        one = middle[system.name]
        table.add_row(
            system.name, f"{one['p50_ms']:.2f}", f"{one['p99_ms']:.2f}", f"{one['calls_a_second']:.0f}",
            f"{one['start_seconds']:.2f}", f"{one['rss_mb']:.0f}",
        )  # fmt: skip
    console.print(table)
    for system in compared:
        own = middle.get("SER, GRPC" if system.protocol == "grpc" else "SER, HTTP")
        aims = _AIMS.get(system.name[:3])
        if own is None or aims is None:
            continue
        one = middle[system.name]
        faster, more = one["p50_ms"] / own["p50_ms"], own["calls_a_second"] / one["calls_a_second"]
        console.print(
            f"against {system.name}: p50 1/{faster:.1f} (aim 1/{aims[0]:g}), calls a second {more:.1f} times "
            f"(aim {aims[1]:g}), start 1/{one['start_seconds'] / own['start_seconds']:.1f}"
        )
    served = middle.get("SER, HTTP")
    if served:
        times = served["p99_in_training_ms"] / served["p99_ms"]
        console.print(
            f"p99 while a training runs: {served['p99_in_training_ms']:.2f} ms, {times:.1f} times (aim at most 3)"
        )


if __name__ == "__main__":
    main()
