"""Run the training pipeline on this machine: every step a subprocess, no container engine."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser.bundle import REPORT
from ser.console import ERROR_PREFIX
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
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            **vars(self),
            "model": str(self.model),
            "report": str(self.report),
            "artifacts": str(self.artifacts),
        }


def run_locally(request: TrainRequest, pipeline_root: Path) -> LocalRun:
    """Runs the pipeline, step by step, in subprocesses of this Python.

    The steps' logs go to standard output.

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
    logging.getLogger().setLevel(logging.WARNING)
    with warnings.catch_warnings(), _listening() as listener:
        # KFP supposes that an image without "python" in its name cannot stand for this interpreter.
        warnings.filterwarnings("ignore", message="You may be attemping to run a task", category=RuntimeWarning)
        try:
            task = training_pipeline(**parameters(request))
        except RuntimeError as error:
            raise TrainingError(listener.error or f"the pipeline failed: {error}") from error
    outputs = task.outputs
    saved = Path(request.model_save_path) / outputs["model_id"]
    return LocalRun(
        model_id=outputs["model_id"],
        model=saved,
        report=saved / REPORT / "report.html",
        metrics=dict(outputs["metrics"].metadata),
        artifacts=Path(outputs["metrics"].path).parent.parent,
        seconds=round(time.monotonic() - started, 1),
    )


def parameters(request: TrainRequest) -> dict[str, Any]:
    """A request as the pipeline's arguments; parameters of KFP have one type, so `split_at` is a string."""
    arguments = request.model_dump(mode="json", by_alias=True)
    return {**arguments, "dataset_load_split_at": str(request.dataset_load_split_at)}


class _Listener(io.TextIOBase):
    """Passes text on and remembers the last line that is an error of SER."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.error: str | None = None

    def write(self, text: str) -> int:
        for line in text.splitlines():
            if line.startswith(ERROR_PREFIX):
                self.error = line.removeprefix(ERROR_PREFIX)
        self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        self._stream.flush()


@contextlib.contextmanager
def _listening() -> Iterator[_Listener]:
    listener = _Listener(sys.stdout)
    with contextlib.redirect_stdout(listener):
        yield listener
