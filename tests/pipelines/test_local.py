"""The pipelines run in subprocesses, for real: every setting at a value that is not its default, and again."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kfp.local.config import LocalExecutionConfig

from ser.bundles.bundle import REPORT, Bundle
from ser.bundles.model_store import list_models
from ser.config import parse
from ser.dataset import Dataset
from ser.errors import DownloadError, TrainingError
from ser.request import CrossValidationConfig, CrossValidationRequest, TrainingConfig, TrainRequest
from ser.steps.protocol import cross_validate
from ser.trainer import run as train_in_process
from ser_pipelines import freshness
from ser_pipelines.local import LocalCrossValidation, cross_validate_locally, run_locally

COMMON: dict[str, Any] = {
    "data_path": "kept/data",
    "remote_url": "corpus.zip",
    "dataset_force": True,
    "dataset_load_split_at": 16_000,
    "dataset_load_normalize": False,
    "dataset_feature_extract_methods": {"MFCC": {"num_cepstral": 20}},
    "dataset_virtual_speakers": 1,
    "random_state": 7,
    "model_type": "KerasClassifier",
    "model_config": {"epochs": 2, "batch_size": 16},
}
TRAIN = {**COMMON, "model_save_path": "kept/models"}
CROSS_VALIDATE = {
    **COMMON, "dataset_force": False, "model_config": {"epochs": 1}, "protocol": "kfold", "folds": 2,
    "group": "session", "fold_file": "sessions.csv", "enrollment_clips": 3, "enrollment_of": "corpus",
}  # fmt: skip
MINIMUM_UAR = 0.01
UNKNOWN_TO_A_TRAINING = {
    name: str(field.default) if name == "enrollment_clips" else field.default
    for name, field in CrossValidationConfig.model_fields.items()
    if name not in TrainingConfig.model_fields
}
"""What the first step is not told of by the training pipeline has its default."""


def test_every_field_of_a_request_is_set_here() -> None:
    needed = {
        "data_path": "d",
        "remote_url": "embedded:",
        "model_type": "KerasDropoutClassifier",
        "model_save_path": "m",
    }
    for schema, asked in ((TrainRequest, TRAIN), (CrossValidationRequest, CROSS_VALIDATE)):
        least = {name: value for name, value in needed.items() if name in schema.model_fields}
        usual, wanted = (parse(schema, one).model_dump(by_alias=True) for one in (least, asked))
        assert set(asked) == set(usual)
        forced = {"dataset_force"} if schema is CrossValidationRequest else set()  # below, by itself
        assert {name for name in usual if usual[name] == wanted[name]} == forced


def ser_pipeline(folder: Path, command: str, *flags: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "ser", "pipeline", command, "--json", *map(str, flags)]
    return subprocess.run(line, capture_output=True, text=True, check=False, cwd=folder, timeout=200)


def flags_of(asked: Mapping[str, Any]) -> list[str]:
    flags = []
    for name, value in asked.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            flags += [f"--{flag}", json.dumps(value) if isinstance(value, dict) else str(value)]
    return flags


def answer(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert ended.returncode == 0, ended.stdout + ended.stderr
    content: dict[str, Any] = json.loads(ended.stdout)
    return content


def given_to_steps(log: Path) -> list[tuple[str, dict[str, Any]]]:
    """Each step that was run, and its parameters, as the step itself logs them."""
    found, name, reading = [], "", None
    for line in log.read_text().splitlines():
        if "INFO - Executing task '" in line:
            name = line.partition("Executing task '")[2].rstrip("'")
        elif "Got executor_input:" in line:
            reading = []
        elif reading is not None:
            reading.append(line)
            if line == "    }":
                inputs = json.loads("\n".join(reading))["inputs"]
                found.append((name, inputs.get("parameterValues", {})))
                reading = None
    return found


def assert_given(log: Path, asked: Mapping[str, Any], steps: list[str], **own: Any) -> None:
    """Every step had of the request what bears the same name, and nothing else."""
    wanted = parse(TrainRequest if "model_save_path" in asked else CrossValidationRequest, asked)
    known = wanted.model_dump(mode="json", by_alias=True, exclude_none=True) | own
    known |= {name: str(known[name]) for name in ("dataset_load_split_at", "enrollment_clips") if name in known}
    found = given_to_steps(log)
    assert sorted(name for name, _ in found) == sorted(steps)
    used = set()
    for name, parameters in found:
        fold = parameters.pop("fold", None)
        assert (fold is not None) == (name == "train-fold")
        assert parameters == {one: known[one] for one in parameters}, name
        used |= set(parameters)
    assert used == set(known)


@pytest.fixture(scope="module")
def finished(corpus_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A whole run from the command line."""
    folder = tmp_path_factory.mktemp("pipeline")
    shutil.copy(corpus_zip, folder / "corpus.zip")
    flags = [*flags_of(TRAIN), "--minimum-uar", MINIMUM_UAR, "--pipeline-root", "kept/runs"]
    return folder, answer(ser_pipeline(folder, "run", *flags))


def test_every_setting_reaches_every_step(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, result = finished
    steps = ["check-request", "download", "feature-extraction", "training", "evaluation"]
    own = {"minimum_uar": MINIMUM_UAR, "receipt": "", **UNKNOWN_TO_A_TRAINING}
    assert_given(folder / result["log"], TRAIN, steps, **own)
    assert (folder / "kept/runs" / Path(result["log"]).name).is_file()
    assert {path.name for path in folder.iterdir()} == {"corpus.zip", "kept"}


def test_a_run_saves_a_whole_model_with_its_report(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, result = finished
    bundle = Bundle(folder / result["model"])
    assert list_models(folder / "kept/models") == [result["model_id"]] == [bundle.manifest.model_id]
    assert result["report"] == f"{result['model']}/{REPORT}/report.html"
    assert (folder / result["report"]).is_file()
    metrics = result["metrics"]
    assert {name: metrics[name] for name in bundle.manifest.metrics} == bundle.manifest.metrics
    assert metrics["accuracy_95_low"] <= metrics["accuracy"] <= metrics["accuracy_95_high"]
    assert f"reaches minimum_uar = {MINIMUM_UAR}" in (folder / result["log"]).read_text()


def test_the_pipeline_and_the_library_make_the_same_model(
    finished: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, result = finished
    ours = train_in_process(
        parse(
            TrainRequest,
            {
                **TRAIN,
                "remote_url": str(folder / "corpus.zip"),
                "data_path": str(tmp_path / "data"),
                "model_save_path": str(tmp_path / "models"),
            },
        )
    )
    assert ours.model_id == result["model_id"]
    here, there = Bundle(tmp_path / "models" / ours.model_id), Bundle(folder / result["model"])
    assert here.manifest.history == there.manifest.history
    assert (there.manifest.random_state, there.manifest.hyperparameters["batch_size"]) == (7, 16)
    np.testing.assert_array_equal(here.validation.rows, there.validation.rows)
    np.testing.assert_array_equal(here.predict(here.validation.rows), there.predict(there.validation.rows))


def test_kubeflow_s_page_gets_a_confusion_matrix_and_a_roc(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, result = finished
    (executor_output,) = (folder / result["artifacts"]).glob("evaluation*/executor_output.json")
    artifacts = json.loads(executor_output.read_text())["artifacts"]
    metadata = artifacts["classification"]["artifacts"][0]["metadata"]
    matrix = metadata["confusionMatrix"]
    assert len(matrix["annotationSpecs"]) == len(matrix["rows"]) == 7
    held_out = sum(sum(row["row"]) for row in matrix["rows"])
    bundle = Bundle(folder / result["model"])
    assert held_out == len(bundle.manifest.validation_samples)
    curve = metadata["confidenceMetrics"]
    assert [curve[0]["falsePositiveRate"], curve[-1]["recall"]] == [0, 1]


def asked(schema: Any, fields: Mapping[str, Any], folder: Path) -> Any:
    """A request whose paths are in a folder."""
    paths = ("data_path", "remote_url", "model_save_path")
    return parse(schema, {**fields, **{name: str(folder / fields[name]) for name in paths if name in fields}})


@contextlib.contextmanager
def unreadable(folder: Path) -> Iterator[None]:
    """What is taken from a cache is seen by a corpus that cannot be read any more, though nothing tells of it."""
    path, kept = folder / "corpus.zip", folder / "kept/data"
    stat, content = path.stat(), path.read_bytes()
    kept.rename(folder / "hidden")
    path.write_bytes(b"x" * len(content))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    try:
        yield
    finally:
        shutil.rmtree(kept, ignore_errors=True)
        (folder / "hidden").rename(kept)
        path.write_bytes(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_a_second_run_takes_nothing_from_the_first(
    finished: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = finished
    monkeypatch.chdir(folder)  # the very same arguments
    with unreadable(folder), pytest.raises(TrainingError, match="corpus.zip"):
        run_locally(parse(TrainRequest, TRAIN), Path("kept/runs"), minimum_uar=MINIMUM_UAR)


def test_a_model_below_the_least_uar_is_not_saved(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = finished
    request = {**TRAIN, "dataset_force": False, "model_save_path": "kept/none", "model_config": {"epochs": 1}}
    result = run_locally(asked(TrainRequest, request, folder), folder / "kept/runs", minimum_uar=1)
    assert (result.model_id, result.model) == ("", None)
    assert list_models(folder / "kept/none") == []
    assert "<html" in result.report.read_text()
    assert result.report.suffix == ".html"  # as a browser opens it
    assert result.metrics["uar"] < 1


def test_a_failing_step_ends_in_its_own_line_and_saves_nothing(tmp_path: Path) -> None:
    ended = ser_pipeline(tmp_path, "run", "--remote-url", "nowhere.zip")
    assert ended.returncode == 4
    expected = "ser: nowhere.zip: expected a corpus as a zip or a folder, there is no such file"
    assert ended.stderr.splitlines()[-1] == expected
    assert "Traceback" not in ended.stderr
    assert list_models(tmp_path / "models") == []


def test_a_wrong_request_is_refused_before_anything_runs(tmp_path: Path) -> None:
    for command in ("run", "cross-validate"):
        ended = ser_pipeline(tmp_path, command, "--model-type", "Perceptron")
        assert ended.returncode == 2
        assert ended.stderr.startswith("ser: model_type: unknown model type 'Perceptron'")
        assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def validated(corpus_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A whole cross-validation from the command line."""
    folder = tmp_path_factory.mktemp("cross-validation")
    shutil.copy(corpus_zip, folder / "corpus.zip")
    with zipfile.ZipFile(corpus_zip) as archive:
        names = [name for name in archive.namelist() if name.endswith(".wav")]
    rows = [f"{name},{'ab'[number % 2]},{number % 5}\n" for number, name in enumerate(names)]
    (folder / "sessions.csv").write_text("file,fold,session\n" + "".join(rows))
    flags = [*flags_of(CROSS_VALIDATE), "--pipeline-root", "kept/runs"]
    return folder, answer(ser_pipeline(folder, "cross-validate", *flags))


FOLD_STEPS = ["plan-folds", "train-fold", "train-fold", "cross-validation"]


def test_every_setting_reaches_every_step_of_a_cross_validation(validated: tuple[Path, dict[str, Any]]) -> None:
    folder, result = validated
    steps = ["check-request", "download", "feature-extraction", *FOLD_STEPS]
    assert_given(folder / result["log"], CROSS_VALIDATE, steps, minimum_uar=0.0)


def test_the_pipeline_and_the_library_cross_validate_alike(
    validated: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, result = validated
    here = {**CROSS_VALIDATE, "fold_file": str(folder / "sessions.csv")}
    request = asked(CrossValidationRequest, here, folder)
    features = Dataset(tmp_path / "data", request.remote_url).features_of(request)
    figures = cross_validate(features, tmp_path / "folds", request, seeds=(request.random_state,))
    metrics = result["metrics"]
    assert metrics["uar"] == figures.pooled.uar
    assert metrics["brier"] == pytest.approx(figures.pooled.calibration.brier)
    assert {row.group: row.uar for row in figures.seeds[0].folds} == {
        f"fold {number}": metrics[f"uar, fold {number}"] for number in (1, 2)
    }
    page = (folder / result["report"]).read_text()
    assert "all recordings of one session are in the same fold (session as sessions.csv has it)" in page
    assert Path(result["report"]).suffix == ".html"


def cross_validated(**changes: Any) -> LocalCrossValidation:
    request = {**CROSS_VALIDATE, **changes}
    paths = {"data_path": "kept/data", "remote_url": "corpus.zip"}
    return cross_validate_locally(parse(CrossValidationRequest, {**request, **paths}), Path("kept/runs"))


def test_a_second_cross_validation_does_what_is_not_done_and_nothing_stale(
    validated: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, first = validated
    monkeypatch.chdir(folder)

    def steps_of(result: LocalCrossValidation) -> list[str]:
        return sorted(name for name, _ in given_to_steps(result.log))

    # The report may be made again: KFP lists the folds in the order in which they ended.
    again = cross_validated()
    assert set(steps_of(again)) <= {"check-request", "cross-validation"}
    assert again.metrics == first["metrics"]
    # Another seed and other folds: the features are there, nothing else is.
    other = cross_validated(random_state=8, group="")
    assert steps_of(other) == sorted(["check-request", *FOLD_STEPS])
    assert {"uar, fold a", "uar, fold b"} < set(other.metrics)
    assert not {"uar, fold 1", "uar, fold 2"} & set(other.metrics)
    with unreadable(folder):
        assert cross_validated().metrics == first["metrics"]
        with pytest.raises(TrainingError, match="corpus.zip"):
            cross_validated(dataset_force=True)
        # A forced run has arguments of its own: the next of its kind must not find what this one has made.
        assert not LocalExecutionConfig.instance.enable_caching
        with monkeypatch.context() as patch:
            patch.setattr(freshness, "code_digest", lambda package: f"the code of {package} as it is now")
            with pytest.raises(TrainingError, match="corpus.zip"):
                cross_validated()
        os.utime(folder / "corpus.zip")  # now it tells
        with pytest.raises(TrainingError, match="corpus.zip"):
            cross_validated()
        (folder / "corpus.zip").unlink()
        with pytest.raises(DownloadError, match="there is no such file"):
            cross_validated()


def test_the_code_of_a_package_is_told_from_any_other(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "one.py").write_text("x = 1")
    before = freshness.code_digest(tmp_path)
    (tmp_path / "notes.txt").write_text("no code")
    assert freshness.code_digest(tmp_path) == before
    (tmp_path / "inner" / "one.py").write_text("x = 2")
    changed = freshness.code_digest(tmp_path)
    (tmp_path / "inner" / "one.py").rename(tmp_path / "inner" / "two.py")
    assert len({before, changed, freshness.code_digest(tmp_path)}) == 3


def test_a_file_of_folds_counts(tmp_path: Path, corpus_zip: Path) -> None:
    file = tmp_path / "folds.csv"
    file.write_text("file,fold\na.wav,1\n")
    states = [freshness.state(str(corpus_zip)), freshness.state(str(corpus_zip), str(file))]
    file.write_text("file,fold\na.wav,2\n")
    states.append(freshness.state(str(corpus_zip), str(file)))
    assert len(set(states)) == 3


def test_every_corpus_of_a_corpora_file_counts(tmp_path: Path, corpus_zip: Path) -> None:
    shutil.copy(corpus_zip, tmp_path / "one.zip")
    corpora = tmp_path / "corpora.yaml"
    corpora.write_text("corpora: [{name: one, url: one.zip}, {name: two, url: 'embedded:?clips=14'}]")
    states = [freshness.state(str(corpora))]
    os.utime(tmp_path / "one.zip", (1, 1))
    states.append(freshness.state(str(corpora)))
    corpora.write_text(corpora.read_text().replace("clips=14", "clips=15"))
    states.append(freshness.state(str(corpora)))
    assert len(set(states)) == 3
    assert freshness.state(str(corpora)) == states[-1]
