"""The pipeline run in subprocesses, for real."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ser.bundle import Bundle
from ser.model_store import list_models


def run(folder: Path, *flags: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ser", "pipeline", "run", "--json", *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def answer(ended: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert ended.returncode == 0, ended.stdout + ended.stderr
    content: dict[str, object] = json.loads(ended.stdout)
    return content


@pytest.fixture(scope="module")
def finished(corpus_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    folder = tmp_path_factory.mktemp("pipeline")
    flags = ("--remote-url", corpus_zip, "--model-type", "KerasClassifier", "--model-config", '{"epochs": 2}')
    return folder, answer(run(folder, *flags))


def test_a_run_saves_a_whole_model_with_its_report(finished: tuple[Path, dict[str, object]]) -> None:
    folder, result = finished
    bundle = Bundle(folder / str(result["model"]))
    assert bundle.manifest.model_id == result["model_id"]
    assert (folder / str(result["report"])).is_file()
    metrics = result["metrics"]
    assert isinstance(metrics, dict)
    assert metrics["uar"] == bundle.manifest.metrics["uar"]
    assert metrics["accuracy_95_low"] <= metrics["accuracy"] <= metrics["accuracy_95_high"]


def test_the_pipeline_and_the_library_make_the_same_model(
    finished: tuple[Path, dict[str, object]], corpus_zip: Path, tmp_path: Path
) -> None:
    from ser.config import parse
    from ser.request import TrainRequest
    from ser.trainer import run as run_in_process

    folder, result = finished
    request = {
        "remote_url": str(corpus_zip),
        "data_path": str(tmp_path / "data"),
        "model_save_path": str(tmp_path / "models"),
        "model_type": "KerasClassifier",
        "model_config": {"epochs": 2},
    }
    ours = run_in_process(parse(TrainRequest, request))
    assert ours.model_id == result["model_id"]
    here, there = Bundle(tmp_path / "models" / ours.model_id), Bundle(folder / str(result["model"]))
    assert here.manifest.history == there.manifest.history
    np.testing.assert_array_equal(here.validation.rows, there.validation.rows)
    np.testing.assert_array_equal(here.predict(here.validation.rows), there.predict(there.validation.rows))


def test_kubeflow_s_page_gets_a_confusion_matrix_and_a_roc(finished: tuple[Path, dict[str, object]]) -> None:
    folder, result = finished
    (executor_output,) = (folder / str(result["artifacts"])).glob("evaluation*/executor_output.json")
    artifacts = json.loads(executor_output.read_text())["artifacts"]
    metadata = artifacts["classification"]["artifacts"][0]["metadata"]
    matrix = metadata["confusionMatrix"]
    assert len(matrix["annotationSpecs"]) == len(matrix["rows"]) == 7
    held_out = sum(sum(row["row"]) for row in matrix["rows"])
    bundle = Bundle(folder / str(result["model"]))
    assert held_out == len(bundle.manifest.validation_samples)
    curve = metadata["confidenceMetrics"]
    assert [curve[0]["falsePositiveRate"], curve[-1]["recall"]] == [0, 1]


def test_a_failing_step_ends_in_its_own_line_and_saves_nothing(tmp_path: Path) -> None:
    ended = run(tmp_path, "--remote-url", "nowhere.zip")
    assert ended.returncode == 4
    expected = "ser: nowhere.zip: expected a corpus as a zip or a folder, there is no such file"
    assert ended.stderr.splitlines()[-1] == expected
    assert "Traceback" not in ended.stderr
    assert list_models(tmp_path / "models") == []


def test_a_wrong_request_is_refused_before_anything_runs(tmp_path: Path) -> None:
    ended = run(tmp_path, "--model-type", "Perceptron")
    assert ended.returncode == 2
    assert ended.stderr.startswith("ser: model_type: unknown model type 'Perceptron'")
    assert list(tmp_path.iterdir()) == []
