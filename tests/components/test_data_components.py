"""Download and feature extraction: each parameter, by a value that is not its default, does what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser.corpora.folder import load_manifest
from ser.steps.feature_extraction import ROWS, SETTINGS, load_features
from ser.storage.files import read_json
from ser_components.download.component import download
from ser_components.feature_extraction.component import feature_extraction
from ser_components.feature_extraction.join import join_features
from ser_components.feature_extraction.part import extract_part
from tests.components.calling import call, components

# Each parameter has a test here or beside it: a new one gets its own, and then its name in this table.
TESTED = {
    "check_request": {
        "random_state", "model_type", "model_config", "dataset_load_split_at", "dataset_feature_extract_methods",
        "dataset_virtual_speakers", "minimum_uar", "protocol", "folds", "group", "fold_file", "enrollment_clips",
        "enrollment_of",
    },
    "download": {"data_path", "remote_url", "dataset_force"},
    "feature_extraction": {
        "corpus", "dataset_load_split_at", "dataset_load_normalize", "dataset_feature_extract_methods",
        "dataset_virtual_speakers",
    },
    "extract_part": {
        "corpus", "number", "of", "dataset_load_split_at", "dataset_load_normalize", "dataset_feature_extract_methods",
        "dataset_virtual_speakers",
    },
    "join_features": {"parts"},
    "training": {"features", "random_state", "model_type", "model_config"},
    "train_fold": {
        "features", "fold", "protocol", "folds", "group", "fold_file", "enrollment_clips", "enrollment_of",
        "random_state", "model_type", "model_config",
    },
    "plan_folds": {"corpus", "protocol", "folds", "group", "fold_file", "random_state", "model_type", "model_config"},
    "evaluation": {"features", "model", "model_save_path", "minimum_uar", "receipt"},
    "cross_validation": {"scores"},
}  # fmt: skip
SETTINGS_OF_FEATURES: dict[str, Any] = {
    "dataset_load_split_at": "min",
    "dataset_load_normalize": True,
    "dataset_feature_extract_methods": {"MFCC": {"num_cepstral": 12}},
    "dataset_virtual_speakers": 0,
}
CHANGES: dict[str, Any] = {
    "dataset_load_split_at": "16000",
    "dataset_load_normalize": False,
    "dataset_feature_extract_methods": {"MFCC": {"num_cepstral": 5}},
    "dataset_virtual_speakers": 1,
}


def test_no_component_has_a_parameter_that_is_not_tested() -> None:
    assert {name: set(component.component_spec.inputs) for name, component in components().items()} == TESTED


@pytest.fixture(scope="module")
def corpus(corpus_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("components")
    call(download, data_path=str(folder / "data"), remote_url=str(corpus_zip), dataset_force=False, corpus=folder / "c")
    return folder / "c"


@pytest.fixture(scope="module")
def usual(corpus: Path) -> Path:
    """Features with the usual settings."""
    folder = corpus.parent / "usual"
    call(feature_extraction, corpus=corpus, features=folder, **SETTINGS_OF_FEATURES)
    return folder


def test_download_takes_the_address_it_is_given_and_keeps_the_zip_where_it_is_told(
    corpus: Path, tmp_path: Path
) -> None:
    call(
        download,
        data_path=str(tmp_path / "elsewhere"),
        remote_url="embedded:?clips=14",
        dataset_force=False,
        corpus=tmp_path / "corpus",
    )
    assert len(load_manifest(tmp_path / "corpus").clips) == 14
    assert len(load_manifest(corpus).clips) == 84
    assert len(list((tmp_path / "elsewhere").glob("download/*/corpus.zip"))) == 1
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")} == {"corpus", "elsewhere"}


@pytest.mark.parametrize("force", [False, True])
def test_download_does_again_what_is_there_only_where_it_is_forced(force: bool, tmp_path: Path) -> None:
    def fetched(name: str, dataset_force: bool) -> tuple[int, int]:
        arguments = {"data_path": str(tmp_path / "data"), "remote_url": "embedded:?clips=14"}
        call(download, **arguments, dataset_force=dataset_force, corpus=tmp_path / name)
        (path,) = (tmp_path / "data").glob("download/*/corpus.zip")
        return path.stat().st_ino, path.stat().st_mtime_ns

    assert (fetched("first", False) == fetched("second", force)) is not force


def test_features_have_the_settings_they_were_asked_for(usual: Path) -> None:
    config = read_json(usual / SETTINGS)["config"]
    methods = config.pop("dataset_feature_extract_methods")
    assert {**config, "dataset_feature_extract_methods": {}} == {
        **SETTINGS_OF_FEATURES,
        "dataset_feature_extract_methods": {},
    }
    assert methods["MFCC"]["num_cepstral"] == 12


@pytest.mark.parametrize("setting", sorted(CHANGES))
def test_each_setting_changes_the_features_and_no_other_setting(
    setting: str, corpus: Path, usual: Path, tmp_path: Path
) -> None:
    call(
        feature_extraction,
        corpus=corpus,
        features=tmp_path / "f",
        **{**SETTINGS_OF_FEATURES, setting: CHANGES[setting]},
    )
    before, after = (read_json(folder / SETTINGS)["config"] for folder in (usual, tmp_path / "f"))
    assert [name for name in before if before[name] != after[name]] == [setting]
    one, other = load_features(usual), load_features(tmp_path / "f")
    assert {sample.name for sample in one.samples} == {sample.name for sample in other.samples}
    match setting:
        case "dataset_load_split_at":
            lengths = {clip.name: clip.num_samples for clip in load_manifest(corpus).clips}
            assert {s.name: s.pieces for s in other.samples} == {
                n: -(-length // 16_000) for n, length in lengths.items()
            }
        case "dataset_load_normalize":
            assert one.rows.shape == other.rows.shape
            assert not np.array_equal(one.rows, other.rows)
        case "dataset_feature_extract_methods":
            assert other.rows.shape[1] < one.rows.shape[1]
        case "dataset_virtual_speakers":
            assert one.virtual is None
            assert other.virtual is not None
            np.testing.assert_array_equal(one.rows, other.rows)


@pytest.mark.parametrize("settings", [SETTINGS_OF_FEATURES, CHANGES], ids=["usual", "changed"])
def test_features_in_parts_are_those_of_the_whole_with_every_setting(
    settings: dict[str, Any], corpus: Path, tmp_path: Path
) -> None:
    call(feature_extraction, corpus=corpus, features=tmp_path / "whole", **settings)
    parts = [tmp_path / f"part-{number}" for number in range(3)]
    for number, part in enumerate(parts):
        call(extract_part, corpus=corpus, number=number, of=3, features=part, **settings)
    counts = [len(load_features(part).samples) for part in parts]
    assert min(counts) > 0
    assert sum(counts) == 84
    call(join_features, parts=parts[::-1], features=tmp_path / "joined")
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    assert ROWS in whole
    assert {path.name: path.read_bytes() for path in (tmp_path / "joined").iterdir()} == whole


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"dataset_load_split_at": "sometimes"}, "dataset_load_split_at"),
        ({"dataset_feature_extract_methods": {"Wavelets": {}}}, "unknown .*Wavelets"),
        ({"dataset_virtual_speakers": -1}, "dataset_virtual_speakers"),
    ],
)
def test_a_wrong_setting_ends_the_step_by_one_line_and_its_status(
    wrong: dict[str, Any], says: str, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for component, more in ((feature_extraction, {}), (extract_part, {"number": 0, "of": 2})):
        with pytest.raises(SystemExit) as ended:
            call(component, corpus=corpus, features=tmp_path / "f", **more, **{**SETTINGS_OF_FEATURES, **wrong})
        assert ended.value.code == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert said.startswith("ser: ")
        assert re.search(says, said)
        assert not (tmp_path / "f").exists()
