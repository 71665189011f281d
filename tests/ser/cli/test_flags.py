"""Every flag of the commands that train: a value that is not the default, and the field of the request that gets it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ser.cli import evaluate, train
from ser.cli.main import app
from ser.cli.request_options import DEFAULTS
from ser.config import Config
from ser.request import MODEL_TYPE_VARIABLE


@pytest.fixture(autouse=True)
def any_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default a model type that takes whatever features a flag asks for."""
    monkeypatch.setenv(MODEL_TYPE_VARIABLE, "KerasDropoutClassifier")


SHARED: dict[str, tuple[list[str], object]] = {
    "remote_url": (["--remote-url", "a.zip"], "a.zip"),
    "data_path": (["--data-path", "elsewhere"], "elsewhere"),
    "model_type": (["--model-type", "KerasClassifier"], "KerasClassifier"),
    "model_config": (["--model-config", '{"epochs": 7}'], 7),
    "dataset_load_split_at": (["--dataset-load-split-at", "max"], "max"),
    "dataset_load_normalize": (["--no-dataset-load-normalize"], False),
    "dataset_feature_extract_methods": (["--dataset-feature-extract-methods", '{"Functionals": {}}'], ["Functionals"]),
    "dataset_virtual_speakers": (["--dataset-virtual-speakers", "3"], 3),
    "dataset_force": (["--dataset-force"], True),
}
TRAIN = SHARED | {
    "model_save_path": (["--model-save-path", "kept"], "kept"),
    "random_state": (["--random-state", "7"], 7),
}
EVALUATE = SHARED | {
    "protocol": (["--protocol", "lolo"], "lolo"),
    "folds": (["--folds", "4"], 4),
    "group": (["--group", "text"], "text"),
    "fold_file": (["--fold-file", "folds.csv"], "folds.csv"),
    "enrollment_clips": (["--enrollment-clips", "6"], 6),
    "enrollment_of": (["--enrollment-clips", "6", "--enrollment-of", "corpus"], "corpus"),
}
OF_EVALUATION = {"seeds": (["--seeds", "3,5"], [3, 5]), "report": (["--report", "r"], Path("r")),
                 "workers": (["--workers", "2"], 2), "as_json": (["--json"], True)}  # fmt: skip


def value(request: Config, field: str) -> object:
    if field == "model_config":
        return request.hyperparameters.model_dump()["epochs"]  # type: ignore[attr-defined]
    found = getattr(request, field)
    return sorted(found) if field == "dataset_feature_extract_methods" else found


def parameters(command: Callable[..., None]) -> set[str]:
    return set(inspect.signature(command).parameters)


class _SeenError(Exception):
    """Ends the command where the work would begin."""


def seen(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, *arguments: str) -> tuple[Any, ...]:
    """What a command hands over to what does the work."""
    got: list[tuple[Any, ...]] = []

    def work(*given: Any, **_: Any) -> None:
        got.append(given)
        raise _SeenError

    monkeypatch.setattr(module, name, work)
    ended = CliRunner().invoke(app, [module.__name__.rpartition(".")[2], *arguments])
    assert got, ended.output
    return got[0]


@pytest.mark.parametrize("field", TRAIN)
def test_a_flag_of_train_is_the_field_and_no_other(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flags, expected = TRAIN[field]
    plain = seen(monkeypatch, train, "run")[0]
    (request,) = seen(monkeypatch, train, "run", *flags)
    assert value(request, field) == expected
    if field != "model_type":  # which brings its own config
        assert value(plain, field) != expected
        names = [name for name in TRAIN if name != field]
        assert [value(request, name) for name in names] == [value(plain, name) for name in names]


@pytest.mark.parametrize("field", EVALUATE)
def test_a_flag_of_a_protocol_is_the_field(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flags, expected = EVALUATE[field]
    protocol = [] if field == "protocol" else ["--protocol", "kfold"]
    request, *_ = seen(monkeypatch, evaluate, "_evaluate_protocol", *protocol, *flags)
    assert value(request, field) == expected


def test_seeds_folder_workers_and_form_of_a_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = [flag for given, _ in OF_EVALUATION.values() for flag in given]
    _, seeds, report, workers, as_json = seen(monkeypatch, evaluate, "_evaluate_protocol", "--protocol", "loso", *flags)
    assert {"seeds": seeds, "report": report, "workers": workers, "as_json": as_json} == {
        name: expected for name, (_, expected) in OF_EVALUATION.items()
    }


def test_which_model_is_judged_and_where_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ["A-1", "--model-save-path", "kept", "--report", "r", "--json"]
    assert seen(monkeypatch, evaluate, "_evaluate_model", *flags) == ("A-1", "kept", Path("r"), True)


def test_a_flag_comes_before_the_file_and_the_file_before_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"random_state": 3, "dataset_virtual_speakers": 2, "data_path": "of the file"}))
    (request,) = seen(monkeypatch, train, "run", "--request", str(file), "--random-state", "0")
    assert request.random_state == 0
    assert request.dataset_virtual_speakers == 2
    assert request.data_path == "of the file"
    assert request.model_save_path == DEFAULTS["model_save_path"]


@pytest.mark.parametrize("command", [("train",), ("evaluate", "--protocol", "loso")], ids=" ".join)
def test_the_model_type_is_the_flag_s_the_file_s_the_environment_s_or_the_best(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, name = (train, "run") if command == ("train",) else (evaluate, "_evaluate_protocol")
    (tmp_path / "request.json").write_text('{"model_type": "EnsembleClassifier"}')
    of_file = (*command[1:], "--request", str(tmp_path / "request.json"))
    asked = {
        "KerasClassifier": (*of_file, "--model-type", "KerasClassifier"),
        "EnsembleClassifier": of_file,
        "KerasDropoutClassifier": command[1:],
    }
    assert {wanted: seen(monkeypatch, module, name, *flags)[0].model_type for wanted, flags in asked.items()} == {
        wanted: wanted for wanted in asked
    }
    monkeypatch.setenv(MODEL_TYPE_VARIABLE, "")
    assert seen(monkeypatch, module, name, *command[1:])[0].model_type == "EncoderClassifier"
    monkeypatch.setenv(MODEL_TYPE_VARIABLE, "Perceptron")
    assert seen(monkeypatch, module, name, *of_file)[0].model_type == "EnsembleClassifier"
    ended = CliRunner().invoke(app, command)
    assert str(ended.exception).startswith(
        "SER_MODEL_TYPE: unknown model type 'Perceptron'; known: EncoderClassifier, "
    )


def test_every_flag_is_in_a_table_above() -> None:
    assert parameters(train.command) == {*TRAIN, "request", "as_json"}
    assert parameters(evaluate.command) == {*EVALUATE, *OF_EVALUATION, "request", "model_id", "model_save_path"}


def test_force_seeds_and_workers_reach_what_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    got: dict[str, object] = {}

    def features_of(*_: object, force: bool, check: object) -> Path:  # noqa: ARG001 - given in any case
        got["features"] = force
        return tmp_path

    def cross_validate(*_: object, **given: object) -> None:
        got.update(given)
        raise _SeenError

    monkeypatch.setattr(evaluate.Dataset, "features_of", features_of)
    monkeypatch.setattr(evaluate.protocols, "cross_validate", cross_validate)
    flags = ["--seeds", "3,5", "--workers", "2", "--dataset-force", "--report", str(tmp_path / "r")]
    CliRunner().invoke(app, ["evaluate", "--protocol", "loso", "--data-path", str(tmp_path), *flags])
    assert [got.get(name) for name in ("features", "force", "seeds", "workers")] == [True, True, [3, 5], 2]
