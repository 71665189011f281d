"""The four steps one by one, each in a process of its own: time, processor time, peak memory, and what it leaves.

    python -m benchmarks.stages --corpus emodb.zip
    python -m benchmarks.stages --epochs 10 --corpus 'embedded:?clips=300' --corpus 'embedded:?clips=6000'

With two sizes of the embedded corpus it shows what grows with the corpus and what does not.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

STEPS = ("download", "feature_extraction", "training", "evaluation")


def main() -> None:
    """Prints a table a corpus."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", action="append", help="zip, URL or embedded:; may come several times")
    parser.add_argument("--model-type", default="KerasDropoutClassifier")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--epochs", type=int, help="by default the model type's")
    parser.add_argument(
        "--dataset-virtual-speakers", type=int, help="who say each clip as well; the model type's, if not given"
    )
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _child(*arguments.child)
        return
    body: dict[str, object] = {"model_config": {"epochs": arguments.epochs}} if arguments.epochs else {}
    if arguments.dataset_virtual_speakers is not None:
        body["dataset_virtual_speakers"] = arguments.dataset_virtual_speakers
    for corpus in arguments.corpus or ["embedded:"]:
        columns = ("step", "seconds", "processor seconds", "peak memory (MB)", "leaves (MB)")
        table = Table(*columns, title=corpus, box=None)
        with tempfile.TemporaryDirectory() as folder:
            for step in arguments.steps:
                command = [
                    sys.executable,
                    "-m",
                    "benchmarks.stages",
                    "--child",
                    step,
                    folder,
                    corpus,
                    arguments.model_type,
                    json.dumps(body),
                ]
                started = time.perf_counter()
                answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                seconds = time.perf_counter() - started
                used = json.loads(answer.splitlines()[-1])
                left = sum(path.stat().st_size for path in (Path(folder) / step).rglob("*") if path.is_file()) / 1e6
                figures = (f"{seconds:.1f}", f"{used['cpu']:.1f}", f"{used['peak_mb']:.0f}", f"{left:.1f}")
                table.add_row(step, *figures)
        Console().print(table)


def _child(step: str, folder: str, corpus: str, model_type: str, settings: str) -> None:
    """Runs one step as the pipeline does and prints what it used; the time of starting Python is outside."""
    from ser.config import parse
    from ser.request import TrainRequest

    root = Path(folder)
    request = parse(
        TrainRequest,
        {
            "data_path": f"{folder}/data",
            "remote_url": corpus,
            "model_type": model_type,
            "model_save_path": f"{folder}/models",
            **json.loads(settings),
        },
    )
    match step:
        case "download":
            from ser.steps.download import download

            download(request, root / "download")
        case "feature_extraction":
            from ser.steps.feature_extraction import extract_features

            extract_features(root / "download", root / "feature_extraction", request)
        case "training":
            from ser.steps.training import train

            train(root / "feature_extraction", root / "training", request)
        case "evaluation":
            from ser.steps.evaluation import evaluate

            evaluate(root / "training", root / "evaluation", root / "feature_extraction")
    used = resource.getrusage(resource.RUSAGE_SELF)
    sys.stdout.write(json.dumps({"cpu": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}) + "\n")


if __name__ == "__main__":
    main()
