"""Compile the pipelines to the YAML that is kept in the repository, and check it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ser.errors import DamagedError

if TYPE_CHECKING:
    from ser_pipelines.cluster import ClusterSettings

COMPILED = Path(__file__).parent / "compiled"
"""Where the compiled pipelines are kept, for whoever submits them without compiling."""
TRAINING = COMPILED / "training.yaml"
CROSS_VALIDATION = COMPILED / "cross_validation.yaml"


def compile_pipelines(folder: Path, cluster: ClusterSettings | None = None) -> list[Path]:
    """Compiles every pipeline into a YAML file of a folder.

    Args:
        folder: Where to.
        cluster: What a cluster gives the steps; by default the settings' defaults.
    """
    from kfp import compiler

    from ser_pipelines.cluster import ClusterSettings
    from ser_pipelines.cross_validation import cross_validation_pipeline_on
    from ser_pipelines.training import training_pipeline_on

    cluster = cluster or ClusterSettings()
    folder.mkdir(parents=True, exist_ok=True)
    pipelines = {TRAINING.name: training_pipeline_on, CROSS_VALIDATION.name: cross_validation_pipeline_on}
    for name, pipeline_on in pipelines.items():
        compiler.Compiler().compile(pipeline_on(cluster), str(folder / name))
    return [folder / name for name in pipelines]


def compare(folder: Path = COMPILED) -> None:
    """Compiles again and holds the kept files against it.

    Raises:
        DamagedError: If a kept file is missing or another.
    """
    with tempfile.TemporaryDirectory() as temporary:
        for fresh in compile_pipelines(Path(temporary)):
            kept = folder / fresh.name
            # As data: the order of a map in the comments at the top differs from run to run.
            if not kept.is_file() or _documents(kept) != _documents(fresh):
                raise DamagedError(f"{kept} is not what the pipeline compiles to; run: ser pipeline compile {folder}")


def dangling_references(spec: Mapping[str, Any]) -> list[str]:
    """Component and executor references of a compiled pipeline that lead nowhere.

    KFP's own parsers accept such a pipeline; it would fail on the cluster.

    Args:
        spec: The first document of the compiled YAML.

    Returns:
        One sentence each; empty if all resolve.
    """
    components = spec.get("components", {})
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    problems = []
    for where, dag in _dags(spec):
        for task, content in dag.get("tasks", {}).items():
            name = content.get("componentRef", {}).get("name")
            if name not in components:
                problems.append(f"task {task!r} of {where} refers to component {name!r}, which is not there")
            problems += [
                f"task {task!r} of {where} waits for task {other!r}, which is not there"
                for other in content.get("dependentTasks", [])
                if other not in dag["tasks"]
            ]
    for name, component in components.items():
        label = component.get("executorLabel")
        if label is not None and label not in executors:
            problems.append(f"component {name!r} refers to executor {label!r}, which is not there")
    return problems


def images(spec: Mapping[str, Any]) -> set[str]:
    """The container images of a compiled pipeline."""
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    return {executor["container"]["image"] for executor in executors.values() if "container" in executor}


def load(path: Path = TRAINING) -> dict[str, Any]:
    """The pipeline's spec: the first document of a compiled file."""
    spec: dict[str, Any] = _documents(path)[0]
    return spec


def _documents(path: Path) -> list[Any]:
    with path.open(encoding="utf-8") as file:
        return list(yaml.safe_load_all(file))


def _dags(spec: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "the pipeline", spec["root"].get("dag", {})
    for name, component in spec.get("components", {}).items():
        if "dag" in component:
            yield f"component {name!r}", component["dag"]
