"""Bundles of every format that there has been still answer as they did when they were made; of later ones it is told.

`tests/bundles/format-N/` has small models, a clip, and in `expected.json` what the code that made them answered: of the
clip, by a stranger and by a speaker of the training, and of each recording that was held out. Format 2: commit 78870a7;
format 3: the commit that brought familiarity.
"""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ser.bundles.bundle import Bundle
from ser.bundles.manifest import FORMAT
from ser.errors import DamagedError
from ser.features import About
from ser.predictor import Predictor
from ser.version import VERSION
from tests.forgery import forge_manifest

BUNDLES = Path(__file__).parents[2] / "bundles"
FORMATS = sorted(BUNDLES.iterdir())
MADE = [(folder, name) for folder in FORMATS for name in json.loads((folder / "expected.json").read_text())]


def test_there_are_bundles_of_each_format() -> None:
    assert [folder.name for folder in FORMATS] == [f"format-{number}" for number in range(2, FORMAT + 1)]
    for folder in FORMATS:
        adapting = {Predictor(folder, name).bundle.adapts for where, name in MADE if where == folder}
        assert adapting == {True, False}


@pytest.mark.parametrize(("folder", "name"), MADE, ids=str)
def test_a_bundle_answers_as_when_it_was_made(folder: Path, name: str) -> None:
    predictor = Predictor(folder, name)
    expected = json.loads((folder / "expected.json").read_text())[name]
    assert set(predictor.bundle.manifest.validation_samples) <= expected.keys()
    for what, answer in expected.items():
        clip, _, speaker = what.partition(" by ")
        if clip == "clip.wav":
            found = predictor.predict(folder / clip, about=About(speaker=speaker or None))
            assert (found.speaker_clips > 0) == bool(speaker)
        else:
            found = predictor.predict_sample(what)
        assert found.probabilities == pytest.approx(answer["probabilities"], abs=1e-5), what
        assert found.familiarity == pytest.approx(answer["familiarity"], abs=1e-5), what
    if predictor.bundle.adapts:
        assert expected["clip.wav"] != next(value for what, value in expected.items() if " by " in what)


def of_format(number: object, content: dict[str, Any]) -> None:
    content["format"] = number


@pytest.mark.parametrize("number", [FORMAT + 1, 70])
def test_a_later_format_is_told_in_words(bundle: Bundle, tmp_path: Path, number: int) -> None:
    shutil.copytree(bundle.folder, tmp_path / bundle.folder.name)
    forge_manifest(tmp_path / bundle.folder.name, partial(of_format, number))
    with pytest.raises(DamagedError) as caught:
        Predictor(tmp_path, bundle.folder.name)
    said = f"is of format {number}, of a later version of SER; this one, {VERSION}, reads format {FORMAT}: update it"
    assert str(caught.value).endswith(said)


@pytest.mark.parametrize("number", [1, "2", None])
def test_what_is_no_format_is_told(bundle: Bundle, tmp_path: Path, number: object) -> None:
    shutil.copytree(bundle.folder, tmp_path / bundle.folder.name)
    forge_manifest(tmp_path / bundle.folder.name, partial(of_format, number))
    with pytest.raises(DamagedError, match="is of another format: format: "):
        Predictor(tmp_path, bundle.folder.name)
