"""A soak: the server at 80 % of what it can, mixed calls, good and bad, for minutes; errors, latency, memory.

    python -m benchmarks.soak --minutes 10

First the capacity is measured with the same mix: calls a second of 8 callers that do not pause. Then the callers keep
to 80 % of it. Each call says what answer it wants, 400 and 404 among them; any other answer is counted as an error
of the server's. Trainings start and are cancelled meanwhile. Memory is that of the workers, each minute's median.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from rich.console import Console
from rich.table import Table

from benchmarks.server_process import ServerProcess, clip
from ser.dataset import Dataset
from ser.trainer import Trainer
from ser_api.v1 import ser_pb2, ser_pb2_grpc

CALLERS = 8


@dataclass
class Tally:
    """What the callers saw."""

    milliseconds: list[float] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)
    calls: int = 0


@dataclass(frozen=True)
class Wanted:
    """One kind of call and the HTTP status that is right for it."""

    name: str
    status: int
    verb: str
    path: str
    body: bytes = b""
    content_type: str = "application/json"


def main() -> None:
    """Prints what went wrong, how long calls took, and how memory went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        features = Dataset(folder / "data", "embedded:").feature_extract()
        bundle = Trainer("KerasDropoutClassifier", {"epochs": 20}).train(features, folder / "models")
        manifest = bundle.manifest
        with ServerProcess(folder, workers=arguments.workers) as server:
            mix = _mix(manifest.model_id, manifest.validation_samples[0])
            capacity = _load(server, mix, seconds=10, rate=None).calls / 10
            memory: list[list[int]] = []
            stop = threading.Event()
            watch = threading.Thread(target=_watch_memory, args=(server, memory, stop))
            trainer = threading.Thread(target=_train_and_cancel, args=(server, folder, stop))
            for thread in (watch, trainer):
                thread.start()
            tally = _load(server, mix, seconds=arguments.minutes * 60, rate=0.8 * capacity)
            stop.set()
            for thread in (watch, trainer):
                thread.join()
    _print(capacity, tally, memory, arguments.minutes)
    if tally.wrong:
        sys.exit(1)


def _mix(model_id: str, sample: str) -> list[Wanted]:
    recording = clip()
    predict = f"/predict?model_id={model_id}"
    good = Wanted("recording", 200, "POST", predict, recording, "audio/wav")
    return [
        *[good] * 12,
        Wanted("sample", 200, "POST", "/predict", json.dumps({"model_id": model_id, "sample_name": sample}).encode()),
        Wanted("grpc", 200, "GRPC", model_id, recording),
        Wanted("grpc", 200, "GRPC", model_id, recording),
        Wanted("models", 200, "GET", "/models"),
        Wanted("no audio", 400, "POST", predict, b"hello", "audio/wav"),
        Wanted("cut short", 400, "POST", predict, recording[:5_000], "audio/wav"),
        Wanted("unknown field", 400, "POST", "/predict", b'{"colour": 1}'),
        Wanted("no model", 404, "POST", "/predict?model_id=none", recording, "audio/wav"),
    ]


def _load(server: ServerProcess, mix: list[Wanted], *, seconds: float, rate: float | None) -> Tally:
    tallies = [Tally() for _ in range(CALLERS)]
    end = time.monotonic() + seconds
    pause = CALLERS / rate if rate else 0.0
    threads = [
        threading.Thread(target=_call_until, args=(server, mix, end, pause, number, tally))
        for number, tally in enumerate(tallies)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = Tally()
    for tally in tallies:
        whole.milliseconds += tally.milliseconds
        whole.wrong += tally.wrong
        whole.calls += tally.calls
    return whole


def _call_until(server: ServerProcess, mix: list[Wanted], end: float, pause: float, seed: int, tally: Tally) -> None:
    choose = random.Random(seed)  # noqa: S311 - which call is next is no secret
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=60)
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        stub = ser_pb2_grpc.SpeechEmotionRecognitionStub(channel)
        due = time.monotonic() + pause * seed / CALLERS
        while due < end and time.monotonic() < end:
            time.sleep(max(0.0, due - time.monotonic()))
            wanted = choose.choice(mix)
            started = time.monotonic()
            status = _call(connection, stub, wanted)
            tally.milliseconds.append(1e3 * (time.monotonic() - started))
            tally.calls += 1
            if status != wanted.status:
                tally.wrong[f"{wanted.name}: {status}"] += 1
            due = max(due + pause, started) if pause else 0.0
    connection.close()


def _call(
    connection: http.client.HTTPConnection, stub: ser_pb2_grpc.SpeechEmotionRecognitionStub, wanted: Wanted
) -> int:
    if wanted.verb == "GRPC":
        try:
            stub.Predict(ser_pb2.PredictRequest(model_id=wanted.path, audio=wanted.body))
        except grpc.RpcError:
            return 500
        return 200
    try:
        connection.request(wanted.verb, wanted.path, wanted.body, {"content-type": wanted.content_type})
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return 0
    return answer.status


def _watch_memory(server: ServerProcess, memory: list[list[int]], stop: threading.Event) -> None:
    while not stop.wait(5):
        memory.append(server.worker_rss_bytes())


def _train_and_cancel(server: ServerProcess, folder: Path, stop: threading.Event) -> None:
    body = {
        "data_path": str(folder / "data"),
        "remote_url": "embedded:",
        "model_type": "KerasClassifier",
        "model_save_path": str(folder / "models"),
        "model_config": {"epochs": 100_000},
    }
    while not stop.wait(45):
        job_id = server.json("POST", "/jobs", body)["job_id"]
        stop.wait(15)
        server.json("POST", f"/jobs/{job_id}:cancel", {})


def _print(capacity: float, tally: Tally, memory: list[list[int]], minutes: float) -> None:
    table = Table("", "", title=f"{minutes:g} minutes at 80 % of {capacity:.0f} calls a second", box=None)
    times = sorted(tally.milliseconds)
    table.add_row("calls", f"{tally.calls} ({tally.calls / minutes / 60:.0f} a second)")
    table.add_row(
        "p50, p99, most (ms)", f"{statistics.median(times):.1f}, {times[int(0.99 * len(times))]:.1f}, {times[-1]:.0f}"
    )
    table.add_row("answers that were not the right ones", str(dict(tally.wrong) or "none"))
    for number in range(0, len(memory), 12):
        minute = memory[number : number + 12]
        medians = [statistics.median(moment[worker] for moment in minute) / 1e6 for worker in range(len(minute[0]))]
        table.add_row(f"memory of each worker, minute {number // 12 + 1} (MB)", ", ".join(f"{m:.1f}" for m in medians))
    Console().print(table)


if __name__ == "__main__":
    main()
