"""Run the training pipeline on this machine: every step a process of its own, or a container."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from ser.bundles.manifest import REPORT
from ser.corpora.corpora_file import local_paths
from ser.errors import TrainingError
from ser.request import CrossValidationRequest, TrainRequest
from ser.storage.stores import is_address
from ser_pipelines.freshness import state
from ser_pipelines.run_log import recording

_Request = TrainRequest | CrossValidationRequest


class Runner(StrEnum):
    """What a step runs in."""

    SUBPROCESS = "subprocess"
    DOCKER = "docker"


@dataclass(frozen=True)
class LocalRun:
    """What a finished run left."""

    model_id: str
    """Empty if the model was not good enough to be saved."""
    model: str | None
    """The saved model's folder, or its address."""
    report: Path
    """The report's page."""
    metrics: dict[str, float]
    artifacts: Path
    """Where KFP keeps every step's artifacts."""
    log: Path
    """All that was printed."""
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in vars(self).items()}


@dataclass(frozen=True)
class LocalCrossValidation:
    """What a finished cross-validation left."""

    report: Path
    """The report's page."""
    metrics: dict[str, float]
    """Pooled figures, and the UAR of each fold."""
    log: Path
    """All that was printed."""
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in vars(self).items()}


def run_locally(
    request: TrainRequest, pipeline_root: Path, runner: Runner = Runner.SUBPROCESS, *, minimum_uar: float = 0.0
) -> LocalRun:
    """Runs the training pipeline, step by step.

    The essence of the steps' logs goes to standard error, the whole into a file under `pipeline_root`.

    Args:
        request: What to train.
        pipeline_root: Folder for the runs' artifacts.
        runner: Subprocesses of this Python, or containers of the steps' images (`make images`).
        minimum_uar: Least UAR, 0 to 1, of a model that is saved.

    Raises:
        TrainingError: If a step fails; the message is the step's own last error. If there is no container engine.
    """
    # Imported here: `ser --help` does not wait for kfp.
    from ser_pipelines.training import training_pipeline

    started = time.monotonic()
    more = {"minimum_uar": float(minimum_uar)}  # KFP does not take 1 for 1.0
    outputs, log = _run(training_pipeline, request, more, pipeline_root, runner, caching=False)
    saved = f"{request.model_save_path.rstrip('/')}/{outputs['model_id']}" if outputs["model_id"] else None
    here = saved is not None and not is_address(saved)
    return LocalRun(
        model_id=outputs["model_id"],
        model=saved,
        report=Path(saved) / REPORT / "report.html" if saved and here else _page(outputs["report"].path),
        metrics=dict(outputs["metrics"].metadata),
        artifacts=Path(outputs["metrics"].path).parent.parent,
        log=log,
        seconds=round(time.monotonic() - started, 1),
    )


def cross_validate_locally(
    request: CrossValidationRequest, pipeline_root: Path, runner: Runner = Runner.SUBPROCESS
) -> LocalCrossValidation:
    """Runs the cross-validation pipeline.

    What an earlier run with the same request finished is not done again, unless a corpus or the code has changed.

    Args:
        request: What to cross-validate; with `dataset_force` all is done anew.
        pipeline_root: Folder for the runs' artifacts.
        runner: Subprocesses of this Python, or containers of the steps' images.

    Raises:
        TrainingError: As `run_locally`.
    """
    from ser_pipelines.cross_validation import cross_validation_pipeline

    started = time.monotonic()
    caching = not request.dataset_force
    outputs, log = _run(cross_validation_pipeline, request, {}, pipeline_root, runner, caching=caching)
    return LocalCrossValidation(
        report=_page(outputs["report"].path),
        metrics=dict(outputs["metrics"].metadata),
        log=log,
        seconds=round(time.monotonic() - started, 1),
    )


def _page(artifact: str) -> Path:
    """A report as a browser opens it: KFP's artifacts have no suffix."""
    page = Path(artifact).with_suffix(".html")
    shutil.copyfile(artifact, page)
    return page


def _run(
    pipeline: Any,
    request: _Request,
    more: Mapping[str, Any],
    pipeline_root: Path,
    runner: Runner,
    *,
    caching: bool,
) -> tuple[Mapping[str, Any], Path]:
    """Runs a pipeline; gives its outputs and its log."""
    log_file = pipeline_root / f"{time.strftime('%Y-%m-%d-%H-%M-%S')}-{os.getpid()}.log"
    with contextlib.ExitStack() as stack:
        request = stack.enter_context(_prepared(request, pipeline_root, runner, caching=caching))
        stack.enter_context(warnings.catch_warnings())
        # KFP supposes that an image without "python" in its name cannot stand for this interpreter.
        warnings.filterwarnings("ignore", message="You may be attemping to run a task", category=RuntimeWarning)
        log = stack.enter_context(recording(log_file, sys.stderr))
        try:
            return pipeline(**parameters(request), **more).outputs, log_file
        except RuntimeError as error:
            raise TrainingError(log.error or f"the pipeline failed: {error} See {log_file}") from error


@contextlib.contextmanager
def _prepared(request: _Request, pipeline_root: Path, runner: Runner, *, caching: bool) -> Iterator[_Request]:
    """Sets KFP up; gives the request with paths that mean the same in every step."""
    from kfp import local

    settings: dict[str, Any] = {"pipeline_root": str(pipeline_root)}
    if caching:
        cache = pipeline_root / ".kfp_cache" / state(request.remote_url, getattr(request, "fold_file", ""))
        settings |= {"enable_caching": True, "cache_root": str(cache)}
    if runner is Runner.SUBPROCESS:
        from ser_pipelines.subprocesses import subprocess_runner

        with subprocess_runner() as process:
            local.init(process, **settings)
            yield request  # steps are processes with this one's working directory
        return
    from ser_pipelines.containers import container_runner

    changed = {
        name: str(Path(value).resolve())
        for name in ("data_path", "model_save_path")
        if (value := getattr(request, name, None)) is not None and not is_address(value)
    }
    folders = [Path(path) for path in changed.values()]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    readable = local_paths(request.remote_url)
    if readable:
        changed["remote_url"] = str(readable[0])
    if (fold_file := getattr(request, "fold_file", "")) and (of_folds := local_paths(fold_file)):
        changed["fold_file"] = str(of_folds[0])
        readable += of_folds
    with container_runner(folders, readable) as container:
        local.init(container, **settings)
        yield request.model_copy(update=changed)


def parameters(request: _Request) -> dict[str, Any]:
    """A request as the pipeline's arguments.

    Parameters of KFP have one type, so what may be a word or a number is a string, and none is null: what is left out
    has its default.
    """
    arguments = request.model_dump(mode="json", by_alias=True, exclude_none=True)
    strings = {"dataset_load_split_at", "enrollment_clips"} & arguments.keys()
    return {**arguments, **{name: str(arguments[name]) for name in strings}}
