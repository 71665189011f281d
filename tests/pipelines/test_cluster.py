from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from ser.bundles.bundle import Bundle
from ser.config import parse
from ser.errors import ConfigError, NotFoundError
from ser_pipelines import compiling
from ser_pipelines.cluster import ClusterSettings, read_cluster_settings
from ser_pipelines.run_log import recording
from ser_pipelines.subprocesses import subprocess_runner

SETTINGS = """
resources:
  training: {cpu: "4", memory: 8Gi, memory_limit: 16Gi}
volumes:
  - {claim: ser-models, mount_path: /models}
secrets:
  - {name: object-store, variables: {access-key: AWS_ACCESS_KEY_ID}}
gpu: {type: nvidia.com/gpu, count: 2}
download_retries: {count: 5, pause: 10s, factor: 3, longest_pause: 5m}
timeout_seconds: {training: 3600}
node_selector: {pool: batch}
tolerations:
  - {key: dedicated, value: ml, effect: NoSchedule}
"""


def compiled(settings: ClusterSettings, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    path = next(path for path in compiling.compile_pipelines(folder, settings) if path.name == "training.yaml")
    spec, platform = yaml.safe_load_all(path.read_text())
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    return spec, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def test_every_setting_reaches_the_compiled_pipeline(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(SETTINGS)
    spec, platform = compiled(read_cluster_settings(file), tmp_path)
    executors = spec["deploymentSpec"]["executors"]
    resources = {name: executor["container"]["resources"] for name, executor in executors.items()}
    assert resources["exec-training"]["resourceCpuRequest"] == "4"
    assert resources["exec-training"]["resourceMemoryRequest"] == "8Gi"
    assert resources["exec-training"]["resourceMemoryLimit"] == "16Gi"
    accelerator = resources["exec-training"]["accelerator"]
    assert (accelerator["resourceCount"], accelerator["resourceType"]) == ("2", "nvidia.com/gpu")
    assert [name for name in resources if "accelerator" in resources[name]] == ["exec-training"]
    policy = spec["root"]["dag"]["tasks"]["download"]["retryPolicy"]
    assert policy["maxRetryCount"] == 5
    assert policy["backoffDuration"] == "10s"
    assert policy["backoffFactor"] == 3
    assert policy["backoffMaxDuration"] == "300s"
    steps = ("check-request", "download", "feature-extraction", "training", "evaluation")
    assert set(platform) == {f"exec-{step}" for step in steps}
    for name, content in platform.items():
        parsed = json_format.ParseDict(content, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
        assert parsed.pvc_mount[0].mount_path == "/models"
        assert parsed.secret_as_env[0].key_to_env[0].env_var == "AWS_ACCESS_KEY_ID"
        assert dict(parsed.node_selector.labels) == {"pool": "batch"}
        assert parsed.tolerations[0].effect == "NoSchedule"
        assert parsed.active_deadline_seconds == (3600 if name == "exec-training" else 0)


def test_the_default_requests_what_was_measured() -> None:
    executors = compiling.load()["deploymentSpec"]["executors"]
    found = {name: executor["container"]["resources"] for name, executor in executors.items()}
    assert found["exec-training"]["resourceMemoryRequest"] == "2Gi"
    assert found["exec-download"]["resourceMemoryRequest"] == "256Mi"
    tasks = compiling.load()["root"]["dag"]["tasks"]
    assert [name for name, task in tasks.items() if "retryPolicy" in task] == ["download"]


def test_a_run_on_this_machine_is_not_set_up_for_a_cluster() -> None:
    from ser_pipelines.training import training_pipeline

    assert not any("retry_policy" in str(task) for task in training_pipeline.pipeline_spec.root.dag.tasks.values())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("resources: {training: {cpu: many, memory: 1Gi}}", "resources.training.cpu"),
        ("resources: {serving: {cpu: '1', memory: 1Gi}}", "resources.serving"),
        ("gpus: 1", "gpus: unknown field; allowed: feature_parts, resources, volumes"),
        ("volumes: [{claim: x, mount_path: models}]", "volumes.0.mount_path"),
        ("- a list", "expected an object"),
        ("{", "expected YAML"),
        ("!!python/object/apply:os.system ['true']", "expected YAML"),
    ],
)
def test_a_wrong_file_names_its_field(content: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=says):
        read_cluster_settings(file)
    with pytest.raises(NotFoundError, match="none.yaml: no such file"):
        read_cluster_settings(tmp_path / "none.yaml")
    assert read_cluster_settings(None) == parse(ClusterSettings, {})


def test_features_in_parts_fan_out_and_are_joined(tmp_path: Path) -> None:
    spec, _ = compiled(ClusterSettings(feature_parts=4, node_selector={"pool": "batch"}), tmp_path)
    assert compiling.dangling_references(spec) == []
    tasks = spec["root"]["dag"]["tasks"]
    assert set(tasks) == {"check-request", "download", "for-loop-2", "join-features", "training", "evaluation"}
    assert json.loads(tasks["for-loop-2"]["parameterIterator"]["items"]["raw"]) == [0, 1, 2, 3]
    executors = spec["deploymentSpec"]["executors"]
    for name in ("exec-extract-part", "exec-join-features"):
        assert executors[name]["container"]["resources"]["resourceMemoryRequest"] == "512Mi"


@pytest.fixture
def outputs_in_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has KFP's local runner give loops what tasks before them gave, and not their item (docs/upstream.md)."""
    from kfp.local.orchestrator import task_spec_utils

    wrong = task_spec_utils.create_parameter_loop_iteration_task_spec

    def mended(original_task_spec: Any, loop_item: Any, loop_task_name: str) -> Any:
        made = wrong(original_task_spec, loop_item, loop_task_name)
        for name, given in original_task_spec.inputs.parameters.items():
            if given.HasField("task_output_parameter"):
                made.inputs.parameters[name].CopyFrom(given)
        return made

    monkeypatch.setattr(task_spec_utils, "create_parameter_loop_iteration_task_spec", mended)


@pytest.mark.usefixtures("outputs_in_loops")
def test_a_run_in_parts_makes_the_same_model(corpus_zip: Path, bundle: Bundle, tmp_path: Path) -> None:
    from kfp import local

    from ser_pipelines.training import training_pipeline_on

    settings = parse(ClusterSettings, {"feature_parts": 2, "download_retries": {"count": 0}})
    log = recording(tmp_path / "runs" / "log", sys.stderr)
    with log, warnings.catch_warnings(), subprocess_runner() as process:
        local.init(process, pipeline_root=str(tmp_path / "runs"))
        warnings.filterwarnings("ignore", message="You may be attemping to run a task", category=RuntimeWarning)
        warnings.filterwarnings("ignore", message=".* have no effect in the current local runner", category=UserWarning)
        task = training_pipeline_on(settings)(
            data_path=str(tmp_path / "data"),
            remote_url=str(corpus_zip),
            model_type=bundle.manifest.model_type,
            model_save_path=str(tmp_path / "models"),
            model_config=bundle.manifest.hyperparameters,
        )
    assert task.outputs["model_id"] == bundle.manifest.model_id
    metrics = task.outputs["metrics"].metadata
    assert {name: metrics[name] for name in bundle.manifest.metrics} == bundle.manifest.metrics
