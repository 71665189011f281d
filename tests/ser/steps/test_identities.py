"""What was made by other settings, by other code or of other data is not taken for what is asked for now."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from ser.config import parse
from ser.corpora.folder import load_manifest
from ser.dataset import Dataset
from ser.request import CrossValidationConfig, CrossValidationRequest, FeatureConfig, TrainingConfig
from ser.steps import feature_extraction, training
from ser.steps.cross_validation import is_trained, protocol_identity
from ser.steps.feature_extraction import feature_identity
from ser.steps.protocol import evaluation_id
from ser.steps.training import model_id, model_identity
from ser.storage.files import make_folder
from ser.storage.strict_json import fingerprint
from tests.forgery import forge_stamp

BASE: dict[str, Any] = {"model_type": "EnsembleClassifier", "protocol": "kfold", "enrollment_clips": 2}
OTHER: dict[str, dict[str, Any]] = {
    "random_state": {"random_state": 7},
    "model_type": {"model_type": "FunctionalsClassifier"},
    "hyperparameters": {"model_config": {"penalty": 2.0}},
    "protocol": {"protocol": "loso"},
    "folds": {"folds": 5},
    "group": {"group": "text"},
    "fold_file": {"fold_file": "folds.csv"},
    "enrollment_clips": {"enrollment_clips": 3},
    "enrollment_of": {"enrollment_of": "corpus"},
    "dataset_load_split_at": {"dataset_load_split_at": "avg"},
    "dataset_load_normalize": {"dataset_load_normalize": False},
    "dataset_feature_extract_methods": {"dataset_feature_extract_methods": {"MFCC": {"num_cepstral": 12}}},
    "dataset_virtual_speakers": {"dataset_virtual_speakers": 2},
}
"""Of each setting that decides what comes out, another value than BASE's."""
ELSEWHERE = {"data_path", "remote_url", "dataset_force"}
"""Settings that decide where things lie; what was fetched is told by its content."""


def test_every_setting_is_known_here() -> None:
    assert set(CrossValidationRequest.model_fields) == OTHER.keys() | ELSEWHERE
    assert set(FeatureConfig.model_fields) | set(CrossValidationConfig.model_fields) == OTHER.keys()


@pytest.mark.parametrize("field", FeatureConfig.model_fields)
def test_each_setting_of_the_features_makes_others(dataset: Dataset, field: str) -> None:
    manifest = load_manifest(dataset.extract())
    base, other = (feature_identity(manifest, parse(FeatureConfig, body)) for body in ({}, OTHER[field]))
    assert fingerprint(base) != fingerprint(other)
    again = feature_identity(manifest, parse(FeatureConfig, {}))
    assert again == base


def test_another_corpus_makes_other_features(dataset: Dataset) -> None:
    manifest, config = load_manifest(dataset.extract()), parse(FeatureConfig, {})
    without_one = manifest.model_copy(update={"clips": manifest.clips[1:]})
    relabelled = manifest.clips[0].model_copy(update={"emotion": "other"})
    with_another_label = manifest.model_copy(update={"clips": (relabelled, *manifest.clips[1:])})
    found = [fingerprint(feature_identity(one, config)) for one in (manifest, without_one, with_another_label)]
    assert len(set(found)) == 3


def settings(**changes: Any) -> CrossValidationConfig:
    return parse(CrossValidationConfig, {**BASE, **changes})


@pytest.mark.parametrize("field", CrossValidationConfig.model_fields)
def test_each_setting_of_a_protocol_makes_other_folds(
    features: Path, tmp_path: Path, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folds.csv").write_text("file,fold\n03a01Fa.wav,1\n")
    monkeypatch.chdir(tmp_path)
    base, other = settings(), settings(**OTHER[field])
    assert protocol_identity(features, base) != protocol_identity(features, other)
    # A fold that is there counts for the settings that made it, and for no others.
    scores = tmp_path / "scores"
    make_folder(scores, {**protocol_identity(features, base), "fold": "fold 1"}, lambda _: None)
    assert is_trained(scores, protocol_identity(features, base), "fold 1")
    assert not is_trained(scores, protocol_identity(features, other), "fold 1")
    assert not is_trained(scores, protocol_identity(features, base), "fold 2")
    # The folder of the whole is the same for every seed, which lie side by side in it.
    assert (evaluation_id(features, base) == evaluation_id(features, other)) is (field == "random_state")


def test_the_number_of_folds_says_something_of_kfold_alone(features: Path) -> None:
    five, ten = (protocol_identity(features, settings(protocol="loso", folds=count)) for count in (5, 10))
    assert five == ten


def test_a_file_of_folds_is_told_by_what_it_says(features: Path, tmp_path: Path) -> None:
    file = tmp_path / "folds.csv"
    file.write_text("file,fold\n03a01Fa.wav,1\n")
    copy = shutil.copy(file, tmp_path / "copy.csv")
    mine, theirs, ten = (
        protocol_identity(features, settings(fold_file=str(path), folds=folds))
        for path, folds in ((file, 5), (copy, 5), (file, 10))
    )
    assert mine == theirs == ten  # such a file says how many folds there are
    file.write_text("file,fold\n03a01Fa.wav,2\n")
    assert protocol_identity(features, settings(fold_file=str(file))) != mine


@pytest.mark.parametrize("field", TrainingConfig.model_fields)
def test_each_setting_of_a_training_makes_another_model(features: Path, field: str) -> None:
    body = {"model_type": "EnsembleClassifier"}
    base, other = (parse(TrainingConfig, {**body, **change}) for change in ({}, OTHER[field]))
    assert model_identity(features, base) != model_identity(features, other)
    assert model_id(features, base) != model_id(features, other)


def test_other_features_make_another_model_and_other_folds(features: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(features, tmp_path / "features"))
    config = settings()
    assert model_id(copy, config) == model_id(features, config)
    forge_stamp(copy, {"other": "inputs"})
    assert model_id(copy, config) != model_id(features, config)
    assert protocol_identity(copy, config) != protocol_identity(features, config)


@pytest.mark.parametrize(
    ("module", "name", "makes_anew"),
    [(feature_extraction, "FEATURES_FORMAT", [True, False]), (training, "TRAINING_FORMAT", [False, True])],
)
def test_a_step_s_number_is_part_of_what_it_makes(
    module: Any, name: str, makes_anew: list[bool], features: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made() -> list[str]:
        manifest = load_manifest(dataset.extract())
        return [
            fingerprint(feature_identity(manifest, parse(FeatureConfig, {}))),
            fingerprint(model_identity(features, settings())),
        ]

    before = made()
    monkeypatch.setattr(module, name, getattr(module, name) + 1)
    assert [one != other for one, other in zip(before, made(), strict=True)] == makes_anew
