"""What a cluster gives the steps: processors, memory, volumes, secrets, accelerators, places, retries, time.

cpu and memory      of each step; by default what was measured on EmoDB (docs/speed.md), with room
volumes, secrets    the model store and the data, the credentials of object stores
gpu                 of training
download_retries    with growing pauses; the other steps compute, and fail the same way twice
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field

from ser.config import Config, Whole, parse
from ser.errors import ConfigError, FieldViolation, NotFoundError

Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|[kKMGT]i?)?$")]
"""A number of Kubernetes: cores as "2" or "500m", bytes as "512Mi" or "2Gi"."""
Step = Literal["download", "feature_extraction", "training", "evaluation"]


class Resources(Config):
    """What a step asks for, and may use at most."""

    cpu: Quantity
    memory: Quantity
    cpu_limit: Quantity | None = None
    memory_limit: Quantity | None = None


class Volume(Config):
    """A PersistentVolumeClaim that every step mounts."""

    claim: str
    mount_path: Annotated[str, Field(pattern="^/.+")]


class Secret(Config):
    """A Secret, keys of which every step has as environment variables."""

    name: str
    variables: dict[str, str]
    """Key of the Secret to the variable's name, as `access-key: AWS_ACCESS_KEY_ID`."""


class Gpu(Config):
    """Accelerators of the training step; the image must have the drivers' libraries."""

    type: str = "nvidia.com/gpu"
    count: Annotated[Whole, Field(ge=1)] = 1


class Toleration(Config):
    """A taint of nodes that steps may run on all the same."""

    key: str | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoExecute", "NoSchedule", "PreferNoSchedule"] | None = None


class Retries(Config):
    """How often the download is tried again, and after what pauses."""

    count: Annotated[Whole, Field(ge=0)] = 3
    pause: Annotated[str, Field(pattern="^[0-9]+[smh]$")] = "30s"
    factor: Annotated[float, Field(ge=1)] = 2.0
    longest_pause: Annotated[str, Field(pattern="^[0-9]+[smh]$")] = "10m"


_MEASURED: Mapping[Step, Resources] = {
    "download": Resources(cpu="500m", memory="256Mi"),
    "feature_extraction": Resources(cpu="2", memory="512Mi"),
    "training": Resources(cpu="2", memory="2Gi"),
    "evaluation": Resources(cpu="500m", memory="512Mi"),
}


class ClusterSettings(Config):
    """What is compiled into a pipeline for a cluster; all of it has defaults."""

    feature_parts: Annotated[Whole, Field(ge=1, le=1_000)] = 1
    """Into how many parts, computed at once, feature extraction is divided (docs/scale.md)."""
    resources: dict[Step, Resources] = Field(default_factory=dict)
    """Of each step that shall have others than the measured."""
    volumes: tuple[Volume, ...] = ()
    secrets: tuple[Secret, ...] = ()
    gpu: Gpu | None = None
    download_retries: Retries = Retries()
    timeout_seconds: dict[Step, Annotated[Whole, Field(ge=1)]] = Field(default_factory=dict)
    """Longest that a try of a step may take; without one there is no limit."""
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()

    def apply(self, step: Step, task: Any) -> None:
        """Sets a task of KFP up.

        Args:
            step: Which step it is of, by its image.
            task: The task, a `kfp.dsl.PipelineTask`.
        """
        from kfp import kubernetes

        wanted = self.resources.get(step) or _MEASURED[step]
        task.set_cpu_request(wanted.cpu).set_memory_request(wanted.memory)
        if wanted.cpu_limit:
            task.set_cpu_limit(wanted.cpu_limit)
        if wanted.memory_limit:
            task.set_memory_limit(wanted.memory_limit)
        if step == "download" and self.download_retries.count:
            retries = self.download_retries
            task.set_retry(retries.count, retries.pause, retries.factor, retries.longest_pause)
        if step == "training" and self.gpu:
            task.set_accelerator_type(self.gpu.type).set_accelerator_limit(self.gpu.count)
        for volume in self.volumes:
            kubernetes.mount_pvc(task, pvc_name=volume.claim, mount_path=volume.mount_path)
        for secret in self.secrets:
            kubernetes.use_secret_as_env(task, secret.name, secret.variables)
        if seconds := self.timeout_seconds.get(step):
            kubernetes.set_timeout(task, seconds)
        for key, value in self.node_selector.items():
            kubernetes.add_node_selector(task, key, value)
        for one in self.tolerations:
            kubernetes.add_toleration(task, key=one.key, operator=one.operator, value=one.value, effect=one.effect)


Place = Callable[[Step, Any], None]
"""Sets a task up, by its step."""


def placing(cluster: ClusterSettings | None) -> Place:
    """What to call with the step and the task of each task of a pipeline; without settings it does nothing."""

    def place(step: Step, task: Any) -> None:
        if cluster:
            cluster.apply(step, task)

    return place


def read_cluster_settings(path: Path | None) -> ClusterSettings:
    """Reads a YAML file of settings; without one they are the defaults.

    Raises:
        NotFoundError: If there is no such file.
        ConfigError: If it does not validate; each violation names its field.
    """
    if path is None:
        return ClusterSettings()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such file") from None
    except yaml.YAMLError as error:
        raise ConfigError([FieldViolation(str(path), f"expected YAML: {' '.join(str(error).split())}")]) from None
    return parse(ClusterSettings, content or {})
