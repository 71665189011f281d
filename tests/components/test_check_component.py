"""The first step: what is left to the model type, what does not fit, what a machine lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ser.config import parse
from ser.encoders.storage import ROOT_VARIABLE
from ser.models import MODEL_TYPES
from ser.request import TrainRequest
from ser_components.feature_extraction.check import check_request
from tests.components.calling import call

LEFT: dict[str, Any] = {
    "dataset_load_split_at": "", "dataset_feature_extract_methods": {}, "dataset_virtual_speakers": -1,
}  # fmt: skip
ASKED: dict[str, Any] = {"random_state": 42, "model_type": "FunctionalsClassifier", "model_config": {}, **LEFT}
WHOLE = ("max", 4)
"""Clips whole, and four virtual speakers."""
FEATURES: dict[str, tuple[set[str], tuple[str, int]]] = {
    "EncoderClassifier": ({"SpeechEncoder"}, ("max", 10)),
    "EnsembleClassifier": ({"Functionals", "SpeechEncoder", "SpeechFrames"}, WHOLE),
    "FunctionalsClassifier": ({"Functionals"}, WHOLE),
    "TemporalNetworkClassifier": ({"SpeechFrames"}, WHOLE),
    "KerasClassifier": ({"MFCC", "SpeakerAndGenderAndTextType"}, ("min", 0)),
    "KerasDropoutClassifier": ({"MFCC", "SpeakerAndGenderAndTextType"}, ("min", 0)),
}
"""Model type to what it learns from where nothing else is said."""


def test_every_model_type_is_in_the_table() -> None:
    assert FEATURES.keys() == set(MODEL_TYPES.names())


@pytest.mark.parametrize("model_type", FEATURES)
def test_what_is_left_to_the_model_type_is_what_it_learns_from(model_type: str) -> None:
    methods, (split_at, speakers) = FEATURES[model_type]
    found = call(check_request, **{**ASKED, "model_type": model_type})
    assert (set(found[1]), found[0], found[2]) == (methods, split_at, speakers)
    # As the library has it of the same request.
    body = {"data_path": "d", "remote_url": "u", "model_save_path": "m", "model_type": model_type}
    wanted = parse(TrainRequest, body).model_dump(mode="json", exclude_none=True)
    assert found == tuple(str(wanted[name]) if name == "dataset_load_split_at" else wanted[name] for name in LEFT)


@pytest.mark.parametrize(
    ("said", "place", "meant"),
    [
        ({"dataset_load_split_at": "16000"}, 0, "16000"),
        (
            {"dataset_feature_extract_methods": {"Functionals": {}, "MFCC": {"num_cepstral": 5}}},
            1,
            {"Functionals": {}, "MFCC": {"num_cepstral": 5}},
        ),
        ({"dataset_virtual_speakers": 0}, 2, 0),
    ],
)
def test_what_is_said_is_not_left_to_the_model_type(said: dict[str, Any], place: int, meant: Any) -> None:
    usual, found = call(check_request, **ASKED), call(check_request, **{**ASKED, **said})
    assert [number for number in range(3) if usual[number] != found[number]] == [place]
    if isinstance(meant, dict):
        assert set(found[place]) == set(meant)
        assert found[place]["MFCC"]["num_cepstral"] == 5
    else:
        assert found[place] == meant


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"dataset_feature_extract_methods": {"MFCC": {}}}, "dataset_feature_extract_methods: this model type reads"),
        ({"model_type": "EncoderClassifier", "dataset_load_split_at": "min"}, "dataset_load_split_at: SpeechEncoder"),
        ({"dataset_feature_extract_methods": {"Wavelets": {}}}, "dataset_feature_extract_methods: unknown"),
        ({"dataset_virtual_speakers": -2}, "dataset_virtual_speakers"),
        ({"model_type": "Perceptron"}, "model_type: unknown model type 'Perceptron'"),
        ({"model_config": {"epochs": 3}}, "model_config.epochs: unknown field"),
        ({"random_state": -1}, "random_state"),
        ({"minimum_uar": 1.5}, "minimum_uar"),
        ({"protocol": "looo"}, "protocol"),
        ({"protocol": "kfold", "folds": 1}, "folds"),
        ({"group": "text"}, "group: expected none with protocol loso"),
        ({"protocol": "kfold", "group": "session"}, "group: expected one of"),
        ({"enrollment_clips": "some"}, "enrollment_clips: expected a number"),
        ({"enrollment_clips": "3", "enrollment_of": "gender"}, "enrollment_of"),
        ({"enrollment_of": "corpus"}, "enrollment_of: expected enrollment_clips as well"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_what_does_not_fit_ends_the_step_by_one_line(
    wrong: dict[str, Any], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        call(check_request, **{**ASKED, **wrong})
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"ser: {says}")


def test_a_file_of_folds_that_is_not_there_ends_the_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "folds.csv"
    asked = {**ASKED, "protocol": "kfold", "fold_file": str(file)}
    with pytest.raises(SystemExit) as ended:
        call(check_request, **asked)
    assert ended.value.code == 3
    assert capsys.readouterr().err.startswith("ser: fold_file: ")
    file.write_text("file,fold\na.wav,1\nb.wav,2\n")
    assert call(check_request, **asked)[0] == "max"


def test_an_encoder_that_is_not_there_ends_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        call(check_request, **{**ASKED, "model_type": "EncoderClassifier"})
    assert ended.value.code == 4
    assert "ser encoder fetch whisper-base" in capsys.readouterr().err
    assert call(check_request, **ASKED)[0] == "max"  # whoever needs none goes on
