"""The compiled pipelines, held against tables that people wrote: what goes where, in which image, with what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2

from ser.config import parse
from ser.request import CrossValidationRequest, TrainRequest
from ser_pipelines import compiling
from ser_pipelines.cluster import ClusterSettings
from tests.components.calling import components
from tests.pipelines.compiled import Compiled, compiled

LEFT_TO_THE_MODEL_TYPE = {
    "dataset_load_split_at": "", "dataset_feature_extract_methods": {}, "dataset_virtual_speakers": -1,
}  # fmt: skip
"""Defaults of the pipelines: what they stand for, the first task says."""
FEATURE_SETTINGS = {
    "dataset_load_normalize": "dataset_load_normalize",
    **{name: f"check-request.{name}" for name in LEFT_TO_THE_MODEL_TYPE},
}
DOWNLOAD = {"data_path": "data_path", "remote_url": "remote_url", "dataset_force": "dataset_force"}
TRAINING = {"random_state": "random_state", "model_type": "model_type", "model_config": "model_config"}
CHECK = {**TRAINING, **{name: name for name in LEFT_TO_THE_MODEL_TYPE}}
FOLDS = {name: name for name in ("protocol", "folds", "group", "fold_file")}
PLAN = {**TRAINING, **FOLDS}
ENROLLING = {name: name for name in ("enrollment_clips", "enrollment_of")}
CHECKED = {"training": {"minimum_uar": "minimum_uar"}, "cross_validation": {**FOLDS, **ENROLLING}}
"""What the first task looks at besides, of either pipeline."""
WHOLE = {"feature-extraction": {"corpus": "download.corpus", **FEATURE_SETTINGS}}
IN_PARTS = {
    "extract-part": {"corpus": "download.corpus", "number": "each of [0, 1, 2]", "of": 3, **FEATURE_SETTINGS},
    "join-features": {"parts": "all extract-part.features"},
}


def wiring(pipeline: str, parts: int) -> dict[str, dict[str, Any]]:
    """Task to input to where it comes from: a parameter of the pipeline, or an output of a task."""
    features = "feature-extraction.features" if parts == 1 else "join-features.features"
    common = {
        "check-request": {**CHECK, **CHECKED[pipeline]},
        "download": DOWNLOAD,
        **(WHOLE if parts == 1 else IN_PARTS),
    }
    if pipeline == "training":
        return common | {
            "training": {"features": features, **TRAINING},
            "evaluation": {
                "features": features, "model": "training.model", "model_save_path": "model_save_path",
                "minimum_uar": "minimum_uar", "receipt": "receipt",
            },
        }  # fmt: skip
    return common | {
        "plan-folds": {"corpus": "download.corpus", **PLAN},
        "train-fold": {
            "features": features, "fold": "each of plan-folds.Output", **ENROLLING, **PLAN,
        },
        "cross-validation": {"scores": "all train-fold.scores"},
    }  # fmt: skip


OUTPUTS = {
    "training": {
        "model_id": "evaluation.Output", "model": "training.model", "metrics": "evaluation.metrics",
        "classification": "evaluation.classification", "report": "evaluation.report",
    },
    "cross_validation": {
        "metrics": "cross-validation.metrics", "classification": "cross-validation.classification",
        "report": "cross-validation.report",
    },
}  # fmt: skip
STEP_OF = {
    "check-request": "feature_extraction",  # whose machine has the encoders
    "download": "download",
    "feature-extraction": "feature_extraction",
    "extract-part": "feature_extraction",
    "join-features": "feature_extraction",
    "training": "training",
    "train-fold": "training",
    "plan-folds": "evaluation",
    "evaluation": "evaluation",
    "cross-validation": "evaluation",
}
"""Task to the step that it is of: its image, and what a cluster gives it."""
MEASURED = {
    "download": ("500m", "256Mi"),
    "feature_extraction": ("2", "512Mi"),
    "training": ("2", "2Gi"),
    "evaluation": ("500m", "512Mi"),
}
"""Processors and memory that a step asks for, as docs/speed.md has them."""
every_pipeline = pytest.mark.parametrize("pipeline", sorted(OUTPUTS))
in_one_go_and_in_parts = pytest.mark.parametrize("parts", [1, 3])


@every_pipeline
@in_one_go_and_in_parts
def test_every_input_comes_from_where_it_should(pipeline: str, parts: int, tmp_path: Path) -> None:
    found = compiled(pipeline, ClusterSettings(feature_parts=parts), tmp_path)
    assert found.inputs() == wiring(pipeline, parts)
    assert found.outputs() == OUTPUTS[pipeline]
    assert compiling.dangling_references(found.spec) == []
    waits = {name: set(task.get("dependentTasks", ())) for name, task in found.tasks().items()}
    for name, inputs in wiring(pipeline, parts).items():
        sources = {str(one).rpartition(" ")[2].partition(".")[0] for one in inputs.values() if "." in str(one)}
        if name == "download":  # nothing is fetched before all is checked
            sources.add("check-request")
        if pipeline == "cross_validation" and name in ("feature-extraction", "extract-part"):
            sources.add("plan-folds")  # of which nothing is taken: what cannot be had must not cost an extraction
        assert {found.outermost(one) for one in sources} - {found.outermost(name)} == waits[found.outermost(name)]


@every_pipeline
@in_one_go_and_in_parts
def test_every_task_runs_its_own_function_in_its_own_image(pipeline: str, parts: int, tmp_path: Path) -> None:
    found = compiled(pipeline, ClusterSettings(feature_parts=parts), tmp_path)
    executors = found.executors()
    assert set(executors) == set(wiring(pipeline, parts))
    for name, executor in executors.items():
        container = executor["container"]
        function = name.replace("-", "_")
        assert container["args"][-2:] == ["--function_to_execute", function]
        assert f"def {function}(" in container["command"][-1]
        assert container["image"].rpartition(":")[0] == f"ser-{STEP_OF[name].replace('_', '-')}"
        assert "pip install" not in str(container["command"])  # nothing is fetched when a step starts
        # What a machine lacks today is not answered by what it had yesterday.
        assert found.task(name)["cachingOptions"] == ({} if name == "check-request" else {"enableCache": True})
        inputs = components()[function].component_spec.inputs
        others = {one for of in CHECKED.values() for one in of} - set(CHECKED[pipeline])
        assert set(inputs) - set(wiring(pipeline, parts)[name]) == (others if name == "check-request" else set())


@pytest.mark.parametrize(
    ("pipeline", "request_type", "own"),
    [
        ("training", TrainRequest, {"minimum_uar": 0.0, "receipt": ""}),
        ("cross_validation", CrossValidationRequest, {}),
    ],
)
def test_the_parameters_and_their_defaults_are_those_of_the_request(
    pipeline: str, request_type: Any, own: dict[str, Any], tmp_path: Path
) -> None:
    """What an empty `model_config`, and what is left to the model type, mean, the steps know as the library does."""
    given = {"data_path": "d", "remote_url": "embedded:", "model_type": "EncoderClassifier", "model_save_path": "m"}
    given = {name: value for name, value in given.items() if name in request_type.model_fields}
    usual = parse(request_type, given).model_dump(mode="json", by_alias=True) | own
    parameters = compiled(pipeline, None, tmp_path).spec["root"]["inputDefinitions"]["parameters"]
    assert set(parameters) == set(usual)
    assert {name for name, one in parameters.items() if not one.get("isOptional")} == set(given) - {"model_type"}
    defaults = {name: one["defaultValue"] for name, one in parameters.items() if one.get("isOptional")}
    assert defaults.pop("model_config") == {}
    assert {name: defaults.pop(name) for name in LEFT_TO_THE_MODEL_TYPE} == LEFT_TO_THE_MODEL_TYPE
    for name, value in defaults.items():
        assert value == (str(usual[name]) if name == "enrollment_clips" else usual[name])
    types = {name: one["parameterType"] for name, one in parameters.items()}
    of_type = {bool: "BOOLEAN", int: "NUMBER_INTEGER", float: "NUMBER_DOUBLE", str: "STRING", dict: "STRUCT"}
    wanted = {name: of_type[type(value)] for name, value in usual.items()}
    if "enrollment_clips" in wanted:
        wanted["enrollment_clips"] = "STRING"  # a number, or a word
    assert types == wanted


SETTINGS: dict[str, Any] = {
    "feature_parts": 3,
    "resources": {
        "download": {"cpu": "1", "memory": "300Mi", "cpu_limit": "1500m", "memory_limit": "600Mi"},
        "feature_extraction": {"cpu": "3", "memory": "700Mi", "cpu_limit": "4"},
        "training": {"cpu": "5", "memory": "8Gi", "memory_limit": "16Gi"},
        "evaluation": {"cpu": "250m", "memory": "400Mi"},
    },
    "volumes": [{"claim": "ser-models", "mount_path": "/models"}, {"claim": "ser-data", "mount_path": "/data"}],
    "secrets": [
        {"name": "store", "variables": {"key": "AWS_ACCESS_KEY_ID", "secret": "AWS_SECRET_ACCESS_KEY"}},
        {"name": "other", "variables": {"token": "OTHER_TOKEN"}},
    ],
    "gpu": {"type": "amd.com/gpu", "count": 2},
    "download_retries": {"count": 5, "pause": "10s", "factor": 3.0, "longest_pause": "5m"},
    "timeout_seconds": {"download": 60, "feature_extraction": 120, "training": 3_600, "evaluation": 30},
    "node_selector": {"pool": "batch", "zone": "a"},
    "tolerations": [
        {"key": "dedicated", "operator": "Equal", "value": "ml", "effect": "NoSchedule"},
        {"key": "spot", "operator": "Exists", "effect": "NoExecute"},
    ],
}
"""Every setting of a cluster, none at its default."""


def test_no_setting_of_a_cluster_is_left_out_here() -> None:
    usual, settings = (
        ClusterSettings().model_dump(mode="json"),
        parse(ClusterSettings, SETTINGS).model_dump(mode="json"),
    )
    assert [name for name in usual if usual[name] == settings[name]] == []


@every_pipeline
@in_one_go_and_in_parts
def test_every_task_has_what_the_cluster_gives_its_step(pipeline: str, parts: int, tmp_path: Path) -> None:
    found = compiled(pipeline, parse(ClusterSettings, {**SETTINGS, "feature_parts": parts}), tmp_path)
    for name, executor in found.executors().items():
        step = STEP_OF[name]
        wanted = SETTINGS["resources"][step]
        resources = executor["container"]["resources"]
        accelerator = resources.pop("accelerator", {})
        assert {key: value for key, value in resources.items() if key.startswith("resource")} == {
            key: wanted[ours]
            for key, ours in (
                ("resourceCpuRequest", "cpu"),
                ("resourceMemoryRequest", "memory"),
                ("resourceCpuLimit", "cpu_limit"),
                ("resourceMemoryLimit", "memory_limit"),
            )
            if ours in wanted
        }
        assert (accelerator.get("resourceType"), accelerator.get("resourceCount")) == (
            ("amd.com/gpu", "2") if step == "training" else (None, None)
        )
        policy = found.task(name).get("retryPolicy")
        assert policy == (
            {"maxRetryCount": 5, "backoffDuration": "10s", "backoffFactor": 3.0, "backoffMaxDuration": "300s"}
            if step == "download"
            else None
        )
        given = found.platform[f"exec-{name}"]
        mounts = [(one["constant"], one["mountPath"]) for one in given["pvcMount"]]
        assert mounts == [("ser-models", "/models"), ("ser-data", "/data")]
        assert [
            (one["secretName"], {pair["secretKey"]: pair["envVar"] for pair in one["keyToEnv"]})
            for one in given["secretAsEnv"]
        ] == [(one["name"], one["variables"]) for one in SETTINGS["secrets"]]
        assert given["activeDeadlineSeconds"] == str(SETTINGS["timeout_seconds"][step])
        assert given["nodeSelector"]["labels"] == SETTINGS["node_selector"]
        assert given["tolerations"] == SETTINGS["tolerations"]
        json_format.ParseDict(given, kubernetes_executor_config_pb2.KubernetesExecutorConfig())


@every_pipeline
@in_one_go_and_in_parts
def test_without_settings_every_task_asks_for_what_was_measured(pipeline: str, parts: int, tmp_path: Path) -> None:
    found = compiled(pipeline, ClusterSettings(feature_parts=parts), tmp_path)
    assert found.platform == {}
    for name, executor in found.executors().items():
        resources = executor["container"]["resources"]
        cpu, memory = MEASURED[STEP_OF[name]]
        wanted = {"resourceCpuRequest": cpu, "resourceMemoryRequest": memory}
        assert {key: value for key, value in resources.items() if key.startswith("resource")} == wanted
        assert not {"accelerator", "cpuLimit", "memoryLimit"} & set(resources)
        policy = found.task(name).get("retryPolicy")
        assert policy == (
            {"maxRetryCount": 3, "backoffDuration": "30s", "backoffFactor": 2.0, "backoffMaxDuration": "600s"}
            if name == "download"
            else None
        )


@every_pipeline
def test_no_retries_may_be_asked_for(pipeline: str, tmp_path: Path) -> None:
    found = compiled(pipeline, parse(ClusterSettings, {"download_retries": {"count": 0}}), tmp_path)
    assert "retryPolicy" not in found.task("download")


@every_pipeline
def test_the_kept_files_are_compiled_without_settings(pipeline: str, tmp_path: Path) -> None:
    kept = Compiled(*yaml.safe_load_all((compiling.COMPILED / f"{pipeline}.yaml").read_text()))
    assert json.dumps(kept.spec, sort_keys=True) == json.dumps(compiled(pipeline, None, tmp_path).spec, sort_keys=True)
    assert kept.platform == {}
