"""The servers that are compared, as processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.serving.revision import Revision

BASELINES = Path(__file__).parent / "baselines"
IN_PROCESS = Path(__file__).parent / "in_process.py"
_SECONDS_TO_START = 180.0


@dataclass(frozen=True)
class System:
    """One way to serve the model."""

    name: str
    protocol: str
    """http (the recording is the body), json (it is base64 in one), or grpc."""
    port: int
    path: str
    """Where to post; of gRPC the model's id, or Baseline."""
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    module: str = ""
    """What its Python must have."""
    folder: Path | None = None
    """Working directory; Python imports from it first."""


@dataclass
class Running:
    """A server under way."""

    system: System
    process: subprocess.Popen[bytes]
    start_seconds: float
    """From its start to its first right answer."""
    answer: dict[str, Any]

    def load(self, clip: Path, *, callers: int, seconds: float) -> dict[str, Any]:
        """Calls it; see `benchmarks.serving.load`."""
        return _load(self.system, clip, callers=callers, seconds=seconds)

    def largest_rss_bytes(self) -> int:
        """Resident memory of the largest of its processes."""
        return max(_rss_bytes(pid) for pid in _family(self.process.pid))


def ours(revision: Revision, bundle: Path, workers: int) -> list[System]:
    """SER over both protocols, by the code of a commit."""

    def ser(protocol: str) -> System:
        http, grpc = free_port(), free_port()
        environment = {
            "SER_HTTP_PORT": str(http), "SER_GRPC_PORT": str(grpc), "SER_WORKERS": str(workers),
            "SER_DATA_ROOT": str(bundle.parents[1] / "data"), "SER_MODEL_ROOT": str(bundle.parent),
            "PYTHONPATH": str(revision.root),
        }  # fmt: skip
        port, path = (http, f"/predict?model_id={bundle.name}") if protocol == "http" else (grpc, bundle.name)
        command = [sys.executable, "-m", "inference_server"]
        name = f"{revision.name}, {protocol.upper()}"
        return System(name, protocol, port, path, command, environment, folder=revision.root)

    return [ser("http"), ser("grpc")]


def baselines(bundle: Path, python: str) -> list[System]:
    """What SER is compared with."""

    def baseline(name: str, file: str, module: str, protocol: str = "http") -> System:
        port = free_port()
        path = "Baseline" if protocol == "grpc" else "/predict"
        return System(name, protocol, port, path, [python, str(BASELINES / file), str(bundle), str(port)], {}, module)

    bento = free_port()
    return [
        baseline("(a) Flask, model.predict, librosa", "flask_app.py", "flask"),
        baseline("(b) grpcio, tf.function, librosa", "grpc_app.py", "grpc", "grpc"),
        baseline("(c) LitServe, tf.function, librosa", "litserve_app.py", "litserve", "json"),
        System(
            "(c) BentoML, tf.function, librosa",
            "http",
            bento,
            "/predict",
            [
                python,
                "-m",
                "bentoml",
                "serve",
                "bentoml_app:Emotion",
                "--working-dir",
                str(BASELINES),
                "--port",
                str(bento),
            ],
            {"BUNDLE": str(bundle), "BENTOML_DO_NOT_TRACK": "True", "PYTHONPATH": str(BASELINES)},
            "bentoml",
        ),
    ]


@contextmanager
def running(system: System, clip: Path, log: Path) -> Iterator[Running]:
    """Starts a server, waits for its first right answer, and ends it with all its children."""
    started = time.perf_counter()
    with log.open("ab") as output:
        process = subprocess.Popen(
            system.command, env={**os.environ, **system.environment}, stdout=output, stderr=output,
            cwd=system.folder, start_new_session=True,
        )  # fmt: skip
    try:
        while not _listens(system.port):
            _still_alive(process, system, log, started)
        answer = None
        while answer is None:
            _still_alive(process, system, log, started)
            try:
                answer = _once(system, clip)
            except OSError:
                continue
        seconds = time.perf_counter() - started
        yield Running(system, process, seconds, answer)
    finally:
        family = _family(process.pid)
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        for pid in family:  # some servers leave their workers behind
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    """A port that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def probabilities(answer: dict[str, Any]) -> dict[str, float]:
    """Label to probability, however the server wraps them."""
    inner = answer.get("probabilities", answer)
    return {label: float(value) for label, value in inner.items()}


def _family(pid: int) -> list[int]:
    """A process and all below it; some servers put their workers into sessions of their own."""
    try:
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:  # ended meanwhile
        return [pid]
    return [pid, *(one for child in children for one in _family(child))]


def _rss_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0]) * 1_024
    except (OSError, IndexError):  # ended meanwhile
        return 0


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _still_alive(process: subprocess.Popen[bytes], system: System, log: Path, started: float) -> None:
    if process.poll() is not None or time.perf_counter() - started > _SECONDS_TO_START:
        raise RuntimeError(f"{system.name} did not come up:\n{log.read_text(errors='replace')[-2_000:]}")
    time.sleep(0.02)


def _once(system: System, clip: Path) -> dict[str, Any]:
    """One call from this process, so that starting a load generator is not counted."""
    from benchmarks.serving.load import caller

    order = {"protocol": system.protocol, "port": system.port, "path": system.path, "clip": str(clip)}
    try:
        found: dict[str, Any] = json.loads(caller(order)())
    except OSError:
        raise
    except Exception as error:
        if type(error).__module__.startswith("grpc"):
            raise ConnectionError(str(error)) from None
        raise
    return found


def _load(system: System, clip: Path, *, callers: int, seconds: float) -> dict[str, Any]:
    order = {
        "protocol": system.protocol, "port": system.port, "path": system.path, "clip": str(clip), "callers": callers,
        "seconds": seconds,
    }  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.serving.load"]
    result = subprocess.run(command, input=json.dumps(order), capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"{system.name}: {result.stderr[-2_000:]}")
    found: dict[str, Any] = json.loads(result.stdout)
    return found
