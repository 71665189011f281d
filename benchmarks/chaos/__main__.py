"""A server under mixed load while it is disturbed in every way: is any answer wrong, any call's failure unexplained?

    python -m benchmarks.chaos --minutes 10
    python -m benchmarks.chaos --minutes 10 --no-chaos    # the same load at 80 % of capacity, and nothing disturbed

Each kind of call, good and bad, over HTTP, gRPC, WebSockets and gRPC streams, is first asked of the idle server, twice.
Then eight callers ask everything mixed, and hold each answer against that: label and probabilities to 1e-6, of an error
its code, its fields and the kind of its message. Meanwhile workers are killed and stopped, a job's process is killed,
the disk of the queue fills and empties (a small file system in memory, where mounting is allowed, else inside a
namespace of its own), a lock is held on the queue's database, models are deleted and put back, others of
the same id replace them, clients go halfway; trainings are ordered and cancelled. A call without its answer counts as
unexplained unless something that was done at that moment explains just that: the table has the reasons. In the end each
accepted job must be over, memory flat, nothing left behind. Exits with 1 if anything is unexplained.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.chaos.answers import Answer
from benchmarks.chaos.callers import CALLERS, Tally, ask_all
from benchmarks.chaos.client import Client
from benchmarks.chaos.disturbances import JOB_KILL, Disturbances, small_disk
from benchmarks.chaos.events import CHANGING, DELETION, DISK, KILL, LOCK, REPLACEMENT, STOP, Events
from benchmarks.chaos.jobs import Customer
from benchmarks.chaos.kinds import Kind, Models, kinds
from benchmarks.chaos.watching import Watch, left_behind
from benchmarks.models import ensure_another, ensure_models
from benchmarks.server_process import ServerProcess
from ser.bundles.manifest import Manifest

_SHARE_QUIET, _SHARE_DISTURBED = 0.8, 0.35
"""Of the capacity: one worker of two may be missing, and trainings run beside."""
_SECONDS_TO_END_JOBS = 180.0
_IN_NAMESPACE = "SER_CHAOS_NAMESPACE"
_EVENTS = (KILL, STOP, JOB_KILL, DISK, LOCK, DELETION, REPLACEMENT)


def main() -> None:
    """Prints what was done, what came back, and what nothing explains."""
    arguments = _arguments()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        with small_disk(folder / "state") as small:
            if not small and not arguments.no_chaos and _IN_NAMESPACE not in os.environ and shutil.which("unshare"):
                os.environ[_IN_NAMESPACE] = "1"
                Path(name).joinpath("state").rmdir()
                Path(name).rmdir()
                os.execvp("unshare", ["unshare", "-Urm", sys.executable, "-m", "benchmarks.chaos", *sys.argv[1:]])  # noqa: S606, S607
            models = _serve_models(folder, arguments.state)
            faults = _run(arguments, folder, models, small, console)
    if faults:
        sys.exit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, help="calls a second; by default a share of what it can")
    parser.add_argument("--recovery-seconds", type=float, default=2.0, help="after a kill; calls may fail until then")
    parser.add_argument("--no-chaos", action="store_true", help="only ask")
    parser.add_argument(
        "--state", type=Path, default=Path(tempfile.gettempdir()) / "ser-chaos", help="keeps the models"
    )
    return parser.parse_args()


def _run(arguments: argparse.Namespace, folder: Path, models: Models, small: bool, console: Console) -> list[str]:
    temporary, state = folder / "tmp", folder / "state"
    temporary.mkdir()
    events, asked = Events(arguments.recovery_seconds), kinds(models)
    with ServerProcess(
        folder, workers=arguments.workers, environment={"TMPDIR": str(temporary)}, state_root=state
    ) as server:
        expected = _of_idle(server, asked, models)
        capacity = sum(ask_all(server, asked, expected, seconds=10, rate=None).calls.values()) / 10
        rate = arguments.rate or capacity * (_SHARE_QUIET if arguments.no_chaos else _SHARE_DISTURBED)
        console.print(
            f"{capacity:.0f} calls a second of {CALLERS} callers that do not pause; {rate:.0f} are made", style="dim"
        )
        if not small and not arguments.no_chaos:
            console.print("no file system may be mounted here: the disk of the queue is not filled")
        watch, customer = Watch(server), Customer(server, folder, arguments.seed)
        disturbances = Disturbances(
            server, events, models, state, workers=arguments.workers, seed=arguments.seed, small=small
        )
        watch.start()
        customer.start()
        if not arguments.no_chaos:
            disturbances.start()
        tally = ask_all(server, asked, expected, seconds=60 * arguments.minutes, rate=rate, seed=arguments.seed)
        if not arguments.no_chaos:
            disturbances.end()
        customer.end(_SECONDS_TO_END_JOBS)
        watch.end()
        calm = ask_all(server, asked, expected, seconds=5, rate=rate / 2)
    tally.add(customer.tally)
    faults = [*disturbances.faults, *customer.faults, *watch.faults(), *left_behind(folder, temporary)]
    faults += [f"after all is calm: {call.name}: {call.answer}"[:300] for call in calm.other]
    faults += _unexplained_jobs(customer, events)
    if server.process.returncode:
        faults.append(f"the server ended with status {server.process.returncode}: {_last_words(folder)}")
    reasons, unexplained = _explained(tally, events)
    _print(console, arguments.minutes, tally, reasons, events, watch, customer)
    for line, count in Counter([*unexplained, *faults]).most_common(60):
        console.print(f"{count} x {line}", markup=False, soft_wrap=True)
    console.print(f"{len(unexplained)} calls and {len(faults)} other things that nothing explains")
    return [*unexplained, *faults]


def _of_idle(server: ServerProcess, asked: Sequence[Kind], models: Models) -> dict[str, Answer]:
    """What an idle server answers, which must be the same twice; of the model that is replaced for both versions."""
    client, expected = Client(server, 0), dict[str, Answer]()
    for kind in asked:
        if CHANGING in kind.touches:
            versions = {}
            for version in models.changing:
                _install(version, models.victim.parent / version.name)
                answer = kind.ask(client)
                versions[answer.value["model"]["sha256"]] = answer.value
            expected[kind.name] = Answer("OK", versions)
            continue
        expected[kind.name] = kind.ask(client)
        again = kind.ask(client)
        if not kind.judge(again, expected[kind.name]):
            raise RuntimeError(f"{kind.name}: an idle server answers {expected[kind.name]}, then {again}")
    client.close()
    return expected


def _serve_models(folder: Path, state: Path) -> Models:
    """Copies of trained models, two of them under other names."""
    (plain, adaptive), another = ensure_models(state), ensure_another(state)
    shutil.copytree(state / "data", folder / "data")
    root, kept = folder / "models", folder / "kept"
    served = [Path(shutil.copytree(model, root / model.name)) for model in (plain, adaptive)]
    _copy_as("Victim-000000000001", plain, kept)
    shutil.copytree(kept / "Victim-000000000001", root / "Victim-000000000001")
    versions = tuple(_copy_as("Changing-000000000002", model, kept / model.name) for model in (plain, another))
    return Models(served[0], served[1], root / "Victim-000000000001", (versions[0], versions[1]))


def _copy_as(model_id: str, model: Path, place: Path) -> Path:
    target = Path(shutil.copytree(model, place / model_id))
    Manifest.load(model).model_copy(update={"model_id": model_id}).save(target)
    return target


def _install(version: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(version, target)


def _explained(tally: Tally, events: Events) -> tuple[Counter[str], list[str]]:
    reasons, unexplained = Counter[str](), []
    for call in tally.other:
        reason = events.explain(call)
        if reason is None:
            unexplained.append(
                f"unexplained: {call.name}: {call.answer.outcome}: {call.answer.message or call.answer.value}"[:400]
            )
        else:
            reasons[reason] += 1
    return reasons, unexplained


def _last_words(folder: Path) -> str:
    return (folder / "server.log").read_text(errors="replace")[-400:]


def _unexplained_jobs(customer: Customer, events: Events) -> list[str]:
    """Jobs that failed by nothing that was done."""
    found = []
    for job_id, message in customer.failed().items():
        killed = "SIGKILL" in message and events.count(JOB_KILL)
        full = "space" in message and events.count(DISK)
        if not killed and not full:
            found.append(f"{job_id} failed: {message}")
    return found


def _print(
    console: Console,
    minutes: float,
    tally: Tally,
    reasons: Counter[str],
    events: Events,
    watch: Watch,
    customer: Customer,
) -> None:
    table = Table("", "", title=f"{minutes:g} minutes", box=None)
    total, times = sum(tally.calls.values()), sorted(tally.milliseconds)
    table.add_row("calls", f"{total}, of {len(tally.calls)} kinds")
    quantiles = (statistics.median(times), times[int(0.99 * len(times))], times[-1])
    table.add_row("p50, p99, most (ms)", ", ".join(f"{one:.1f}" for one in quantiles))
    table.add_row("done to it", ", ".join(f"{events.count(kind)} x {kind}" for kind in _EVENTS if events.count(kind)))
    for reason, count in reasons.most_common():
        table.add_row(f"failed: {reason}", str(count))
    ends = Counter(job["state"] for job in customer.states.values())
    table.add_row("jobs accepted", f"{len(customer.states)}: {', '.join(f'{n} {state}' for state, n in ends.items())}")
    table.add_row("largest worker, each minute (MB)", ", ".join(f"{size:.0f}" for size in watch.minutes()))
    console.print(table)


if __name__ == "__main__":
    main()
