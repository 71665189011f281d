from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from components.images import STEPS, image
from pipelines import compiling
from ser.errors import DamagedError
from ser.request import TrainRequest
from ser.version import VERSION

ROOT = Path(__file__).parents[2]
SPEC = compiling.load()


def test_the_compiled_pipeline_is_what_the_source_compiles_to() -> None:
    compiling.compare()


def test_a_stale_file_is_found(tmp_path: Path) -> None:
    stale = tmp_path / "training.yaml"
    stale.write_text(compiling.TRAINING.read_text().replace("ser-training", "ser-other"))
    with pytest.raises(DamagedError, match="is not what the pipeline compiles to; run: ser pipeline compile"):
        compiling.compare(stale)


def test_it_parses_as_a_pipeline_spec() -> None:
    spec = json_format.ParseDict(SPEC, pipeline_spec_pb2.PipelineSpec())
    assert set(spec.root.dag.tasks) == {"download", "feature-extraction", "training", "evaluation"}


def test_its_parameters_are_those_of_train() -> None:
    fields = {field.alias or name for name, field in TrainRequest.model_fields.items()}
    assert set(SPEC["root"]["inputDefinitions"]["parameters"]) == fields


def test_every_reference_resolves() -> None:
    assert compiling.dangling_references(SPEC) == []


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (["root", "dag", "tasks", "training", "componentRef", "name"], "comp-gone", "component 'comp-gone'"),
        (["components", "comp-training", "executorLabel"], "exec-gone", "executor 'exec-gone'"),
        (["root", "dag", "tasks", "training", "dependentTasks"], ["gone"], "waits for task 'gone'"),
    ],
    ids=["component", "executor", "task"],
)
def test_a_dangling_reference_is_found(path: list[str], value: object, problem: str) -> None:
    spec = copy.deepcopy(SPEC)
    place = spec
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert any(problem in found for found in compiling.dangling_references(spec))


def test_every_image_has_its_dockerfile_and_the_package_s_version() -> None:
    assert compiling.images(SPEC) == {image(step) for step in STEPS}
    for step in STEPS:
        assert (ROOT / "components" / step / "Dockerfile").is_file()
        assert image(step).endswith(f":{VERSION}")


def test_artifacts_have_kfp_s_own_types() -> None:
    outputs = SPEC["components"]["comp-evaluation"]["outputDefinitions"]["artifacts"]
    assert {name: content["artifactType"]["schemaTitle"] for name, content in outputs.items()} == {
        "metrics": "system.Metrics",
        "classification": "system.ClassificationMetrics",
        "report": "system.HTML",
    }
    assert (
        SPEC["components"]["comp-training"]["outputDefinitions"]["artifacts"]["model"]["artifactType"]["schemaTitle"]
        == "system.Model"
    )


def test_the_containers_locks_are_parts_of_the_project_s() -> None:
    def pins(path: Path) -> set[str]:
        return {line.split(" ")[0] for line in path.read_text().splitlines() if "==" in line and line[0] not in " #"}

    whole = pins(ROOT / "requirements.lock")
    for step in STEPS:
        part = pins(ROOT / "components" / step / "requirements.lock")
        assert part <= whole
        assert not {pin.partition("==")[0] for pin in part} & {"pytest", "mypy"}
        assert (step == "training") == any(pin.startswith("tensorflow==") for pin in part)


def test_a_registry_goes_before_the_images_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SER_IMAGE_REGISTRY", "registry.example.org/team/")
    assert image("feature_extraction") == f"registry.example.org/team/ser-feature-extraction:{VERSION}"


def test_the_yaml_is_data(tmp_path: Path) -> None:
    path = tmp_path / "evil.yaml"
    path.write_text("!!python/object/apply:os.system ['true']")
    with pytest.raises(yaml.YAMLError):
        compiling.load(path)
