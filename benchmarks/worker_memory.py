"""What a worker of the server holds in memory once it has answered, by the type of the model.

    python -m benchmarks.worker_memory

For each model type a server of one worker starts, answers predictions of one clip of 3 seconds, and tells what
/proc/PID/status has of the worker: before the first answer, after it, and after the hundredth. The models learn from
70 clips of the embedded corpus; what they weigh follows from their features and labels, not from the number of clips.
"""

from __future__ import annotations

import argparse
import http.client
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.server_process import ServerProcess, clip
from ser.models import MODEL_TYPES

CORPUS = "embedded:?clips=70"
ANSWERS = 100


def main() -> None:
    """Prints a table, in megabytes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-type", action="append", help="may come several times; by default all")
    table = Table("model type", "before", "after one answer", f"after {ANSWERS}", box=None)
    for model_type in parser.parse_args().model_type or MODEL_TYPES.names():
        with tempfile.TemporaryDirectory() as folder:
            figures = (f"{used / 1e6:.0f}" for used in _memory(Path(folder), model_type))
            table.add_row(model_type, *figures)
    Console().print(table)


def _memory(folder: Path, model_type: str) -> tuple[int, int, int]:
    """Resident bytes of the worker: before it answers, after one answer, after `ANSWERS`."""
    train = [sys.executable, "-m", "ser", "train", "--remote-url", CORPUS, "--model-type", model_type]
    places = ["--data-path", str(folder / "data"), "--model-save-path", str(folder / "models")]
    subprocess.run([*train, *places], check=True, capture_output=True)
    (model,) = (folder / "models").glob("[!.]*/manifest.json")
    with ServerProcess(folder, workers=1, training_slots=0) as server:
        found = [_of_the_worker(server)]
        for count in (1, ANSWERS - 1):
            for _ in range(count):
                _ask(server, model.parent.name)
            found.append(_of_the_worker(server))
    before, once, often = found
    return before, once, often


def _ask(server: ServerProcess, model_id: str) -> None:
    """Has a clip predicted, over HTTP.

    Raises:
        RuntimeError: If the answer is no prediction.
    """
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=120)
    try:
        connection.request("POST", f"/predict?model_id={model_id}", clip(), {"content-type": "audio/wav"})
        answer = connection.getresponse()
        said = answer.read()
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise RuntimeError(said.decode())


def _of_the_worker(server: ServerProcess) -> int:
    (used,) = server.worker_rss_bytes()
    return used


if __name__ == "__main__":
    main()
