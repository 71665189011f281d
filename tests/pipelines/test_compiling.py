from __future__ import annotations

import copy
import re
import shutil
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from ser.errors import DamagedError
from ser.request import TrainRequest
from ser.version import VERSION
from ser_components.images import STEPS, image
from ser_pipelines import compiling

ROOT = Path(__file__).parents[2]
SPEC = compiling.load()


def test_the_compiled_pipeline_is_what_the_source_compiles_to() -> None:
    compiling.compare()


def test_a_stale_file_is_found(tmp_path: Path) -> None:
    for path in (compiling.TRAINING, compiling.CROSS_VALIDATION):
        shutil.copy(path, tmp_path)
    compiling.compare(tmp_path)
    for path in (compiling.TRAINING, compiling.CROSS_VALIDATION):
        (tmp_path / path.name).write_text(path.read_text().replace("ser-training", "ser-other"))
        with pytest.raises(DamagedError, match=f"{path.name} is not what the pipeline compiles to; run: ser pipeline"):
            compiling.compare(tmp_path)
        shutil.copy(path, tmp_path)


def test_it_parses_as_a_pipeline_spec() -> None:
    spec = json_format.ParseDict(SPEC, pipeline_spec_pb2.PipelineSpec())
    first = {"check-request", "download", "feature-extraction"}
    assert set(spec.root.dag.tasks) == first | {"training", "evaluation"}
    spec = json_format.ParseDict(compiling.load(compiling.CROSS_VALIDATION), pipeline_spec_pb2.PipelineSpec())
    assert set(spec.root.dag.tasks) == first | {"plan-folds", "for-loop-1", "cross-validation"}
    assert set(spec.components["comp-for-loop-1"].dag.tasks) == {"train-fold"}


def test_its_parameters_are_those_of_train() -> None:
    fields = {field.alias or name for name, field in TrainRequest.model_fields.items()}
    assert set(SPEC["root"]["inputDefinitions"]["parameters"]) == fields | {"minimum_uar", "receipt"}


def test_every_reference_resolves() -> None:
    assert compiling.dangling_references(SPEC) == []
    assert compiling.dangling_references(compiling.load(compiling.CROSS_VALIDATION)) == []


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
    assert compiling.images(compiling.load(compiling.CROSS_VALIDATION)) == {image(step) for step in STEPS}
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
    locks = sorted((ROOT / "components" / "locks").glob("*.lock"))
    (names,) = re.findall(r"^LOCKS := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [path.stem for path in locks] == sorted(names.split())
    for path in locks:
        part = pins(path)
        assert part
        assert part <= whole
        assert not {pin.partition("==")[0] for pin in part} & {"pytest", "mypy"}
        assert (path.stem in ("networks", "trainer")) == any(pin.startswith("tensorflow==") for pin in part)


def test_a_registry_goes_before_the_images_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SER_IMAGE_REGISTRY", "registry.example.org/team/")
    assert image("feature_extraction") == f"registry.example.org/team/ser-feature-extraction:{VERSION}"


def test_the_yaml_is_data(tmp_path: Path) -> None:
    path = tmp_path / "evil.yaml"
    path.write_text("!!python/object/apply:os.system ['true']")
    with pytest.raises(yaml.YAMLError):
        compiling.load(path)
