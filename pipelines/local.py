"""Run the training pipeline on this machine: every step a subprocess, no container engine."""

from __future__ import annotations

import os
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.run_log import recording
from ser.bundle import REPORT
from ser.errors import TrainingError
from ser.request import TrainRequest


@dataclass(frozen=True)
class LocalRun:
    """What a finished run left."""

    model_id: str
    model: Path
    """The saved model's folder."""
    report: Path
    """The report's page."""
    metrics: dict[str, float]
    artifacts: Path
    """Where KFP keeps every step's artifacts."""
    log: Path
    """All that was printed."""
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in vars(self).items()}


def run_locally(request: TrainRequest, pipeline_root: Path) -> LocalRun:
    """Runs the pipeline, step by step, in subprocesses of this Python.

    The essence of the steps' logs goes to standard error, the whole into a file under `pipeline_root`.

    Args:
        request: What to train.
        pipeline_root: Folder for the runs' artifacts.

    Raises:
        TrainingError: If a step fails; the message is the step's own last error.
    """
    # Imported here: `ser --help` does not wait for kfp.
    from kfp import local

    from pipelines.training import training_pipeline

    started = time.monotonic()
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(pipeline_root))
    log_file = pipeline_root / f"{time.strftime('%Y-%m-%d-%H-%M-%S')}-{os.getpid()}.log"
    with warnings.catch_warnings(), recording(log_file, sys.stderr) as log:
        # KFP supposes that an image without "python" in its name cannot stand for this interpreter.
        warnings.filterwarnings("ignore", message="You may be attemping to run a task", category=RuntimeWarning)
        try:
            task = training_pipeline(**parameters(request))
        except RuntimeError as error:
            raise TrainingError(log.error or f"the pipeline failed: {error} See {log_file}") from error
    outputs = task.outputs
    saved = Path(request.model_save_path) / outputs["model_id"]
    return LocalRun(
        model_id=outputs["model_id"],
        model=saved,
        report=saved / REPORT / "report.html",
        metrics=dict(outputs["metrics"].metadata),
        artifacts=Path(outputs["metrics"].path).parent.parent,
        log=log_file,
        seconds=round(time.monotonic() - started, 1),
    )


def parameters(request: TrainRequest) -> dict[str, Any]:
    """A request as the pipeline's arguments.

    Parameters of KFP have one type, so `dataset_load_split_at` is a string, and none is null: what is left out
    has its default.
    """
    arguments = request.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {**arguments, "dataset_load_split_at": str(request.dataset_load_split_at)}
