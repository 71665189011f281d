"""A compiled pipeline as people think of it: tasks, and where their inputs come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ser_pipelines.cluster import ClusterSettings
from ser_pipelines.compiling import compile_pipelines


def compiled(pipeline: str, settings: ClusterSettings | None, folder: Path) -> Compiled:
    """`training` or `cross_validation`, compiled for a cluster into a folder."""
    (path,) = (path for path in compile_pipelines(folder, settings) if path.stem == pipeline)
    return Compiled(*yaml.safe_load_all(path.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Compiled:
    """The documents of a compiled file."""

    spec: dict[str, Any]
    platform_spec: dict[str, Any] = field(default_factory=dict)

    @property
    def platform(self) -> dict[str, Any]:
        """What Kubernetes is told of each executor, by its label."""
        if not self.platform_spec:
            return {}
        executors: dict[str, Any] = self.platform_spec["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        return executors

    def tasks(self) -> dict[str, Any]:
        """The tasks and loops of the pipeline itself."""
        tasks: dict[str, Any] = self.spec["root"]["dag"]["tasks"]
        return tasks

    def task(self, name: str) -> dict[str, Any]:
        """A task, in a loop or not."""
        outer = self.outermost(name)
        found: dict[str, Any] = self.tasks()[name] if outer == name else self._loop(outer)["tasks"][name]
        return found

    def outermost(self, name: str) -> str:
        """The task itself, or the loop that it is in."""
        loops = [one for one in self.tasks() if one.startswith("for-loop")]
        return next((one for one in loops if name in self._loop(one)["tasks"]), name)

    def executors(self) -> dict[str, Any]:
        """What is run, by the name of its task."""
        found: dict[str, Any] = self.spec["deploymentSpec"]["executors"]
        return {name.removeprefix("exec-"): executor for name, executor in found.items()}

    def inputs(self) -> dict[str, dict[str, Any]]:
        """Task to input to source: `parameter`, `task.output`, `each of …` in a loop, `all …` of one."""
        found = {}
        for name, task in self.tasks().items():
            outside = {key: self._source(one) for key, one in _given(task).items()}
            if not name.startswith("for-loop"):
                found[name] = outside
                continue
            iterator = task["parameterIterator"]
            items = iterator["items"]
            each = items["raw"] if "raw" in items else outside[items["inputParameter"]]
            outside[iterator["itemInput"]] = f"each of {each}"
            for inner, inner_task in self._loop(name)["tasks"].items():
                found[inner] = {
                    key: outside[source] if (source := self._source(one)) in outside else source
                    for key, one in _given(inner_task).items()
                }
        return found

    def outputs(self) -> dict[str, str]:
        """Output of the pipeline to the task and output that it is."""
        found = self.spec["root"]["dag"]["outputs"]
        selected = {name: one["artifactSelectors"][0] for name, one in found.get("artifacts", {}).items()}
        values = {name: one["valueFromParameter"] for name, one in found.get("parameters", {}).items()}
        return {
            **{name: f"{one['producerSubtask']}.{one['outputArtifactKey']}" for name, one in selected.items()},
            **{name: f"{one['producerSubtask']}.{one['outputParameterKey']}" for name, one in values.items()},
        }

    def _loop(self, name: str) -> dict[str, Any]:
        loop: dict[str, Any] = self.spec["components"][self.tasks()[name]["componentRef"]["name"]]["dag"]
        return loop

    def _source(self, one: dict[str, Any]) -> Any:
        if "runtimeValue" in one:
            return one["runtimeValue"]["constant"]
        if name := one.get("componentInputParameter") or one.get("componentInputArtifact"):
            return name
        output = one.get("taskOutputArtifact") or one["taskOutputParameter"]
        task, key = output["producerTask"], output.get("outputArtifactKey") or output["outputParameterKey"]
        if not task.startswith("for-loop"):
            return f"{task}.{key}"
        (selector,) = self._loop(task)["outputs"]["artifacts"][key]["artifactSelectors"]
        return f"all {selector['producerSubtask']}.{selector['outputArtifactKey']}"


def _given(task: dict[str, Any]) -> dict[str, Any]:
    inputs = task.get("inputs", {})
    return {**inputs.get("artifacts", {}), **inputs.get("parameters", {})}
