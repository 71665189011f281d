"""A clip that comes again is not heard again by an extractor of whole clips, and its features are the same bytes."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pytest
import yaml

from ser.config import Config, parse
from ser.dataset import Dataset
from ser.features import EXTRACTORS, About, FeatureExtractor
from ser.request import FeatureConfig
from ser.steps.feature_extraction import (
    ROWS,
    VIRTUAL,
    extract_features,
    extract_part,
    feature_identity,
    join_parts,
    load_features,
)
from tests.forgery import forge_stamp

WHOLE = {"dataset_load_split_at": "max", "dataset_feature_extract_methods": {"Outline": {}}}


class OutlineConfig(Config):
    """What an encoder has: a setting, and an identity that is an array."""

    scale: int = 1


class Outline(FeatureExtractor[OutlineConfig]):
    """Three numbers of a whole clip, in which zeros behind it have no say."""

    Config = OutlineConfig
    whole_clips = True
    version = 1
    heard = 0

    @classmethod
    def create(cls, config: OutlineConfig, corpus: Sequence[About]) -> Self:  # noqa: ARG003 - nothing is fitted
        return cls(config, {"version": np.array(cls.version)})

    def shape(self, piece_samples: int) -> tuple[int, ...]:  # noqa: ARG002
        return (3,)

    def extract(
        self,
        pieces: npt.NDArray[np.float32],
        about: Sequence[About],  # noqa: ARG002 - only sound counts
    ) -> npt.NDArray[np.float32]:
        type(self).heard += len(pieces)
        clips = [np.trim_zeros(piece, "b") for piece in pieces]
        return self.config.scale * np.array([[len(c), c.max(), c[:999].sum()] for c in clips], dtype=np.float32)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    EXTRACTORS.names()
    monkeypatch.setitem(EXTRACTORS._entries, "Outline", Outline)
    monkeypatch.setattr(Outline, "heard", 0)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One corpus, and a corpora file that has all of it but one label, and another with longer clips."""
    folder = tmp_path_factory.mktemp("corpora")
    for name, clips, seed in (("one", 14, 1), ("other", 21, 2)):
        dataset = Dataset(folder / "data", f"embedded:?clips={clips}&seed={seed}")
        shutil.copytree(dataset.extract() / "files", folder / name)
    for path in (folder / "other").rglob("*.wav"):  # another voice's names
        path.rename(path.with_name(path.name.replace("a0", "b0", 1) if "a0" in path.name else path.name))
    both = {
        "corpora": [
            {"name": "one", "url": "one", "labels": {"boredom": None}}, {"name": "other", "url": "other"},
        ]
    }  # fmt: skip
    (folder / "both.yaml").write_text(yaml.safe_dump(both))
    return folder


def extracted(place: Path, url: Path, changes: dict[str, Any], *, force: bool = False) -> Path:
    """The feature folder; `Outline.heard` counts from here."""
    dataset = Dataset(place, str(url))
    dataset.prepare()
    Outline.heard = 0
    config = parse(FeatureConfig, {**WHOLE, **changes})
    return dataset.features_of(config, force=force)


@pytest.mark.parametrize("changes", [{}, {"dataset_feature_extract_methods": {"MFCC": {}, "Outline": {}}}])
def test_a_corpus_that_comes_again_is_not_heard_again(
    changes: dict[str, Any], corpora: Path, tmp_path: Path, decoded: Counter[str]
) -> None:
    extracted(tmp_path / "data", corpora / "one", {})
    decoded.clear()
    again = extracted(tmp_path / "data", corpora / "both.yaml", changes)
    samples = load_features(again).samples
    new = {sample.name for sample in samples if sample.corpus == "other"}
    assert 0 < len(new) < len(samples)
    assert Outline.heard == len(new)
    assert set(decoded) == ({sample.name for sample in samples} if changes else new)
    fresh = extracted(tmp_path / "elsewhere", corpora / "both.yaml", changes)
    assert Outline.heard == len(samples)
    assert (again / ROWS).read_bytes() == (fresh / ROWS).read_bytes()
    # The other way round: of a corpora file, what one of its corpora needs.
    extracted(tmp_path / "elsewhere", corpora / "one", changes)
    assert Outline.heard == 14 - sum(sample.corpus == "one" for sample in samples) > 0


def test_virtual_speakers_are_known_where_there_were_as_many(corpora: Path, tmp_path: Path) -> None:
    first, second = ({"dataset_virtual_speakers": count} for count in (1, 2))
    extracted(tmp_path / "data", corpora / "one", first)
    clips = Outline.heard // 2
    two = extracted(tmp_path / "data", corpora / "one", second)
    assert Outline.heard == 3 * clips
    again = extracted(tmp_path / "data", corpora / "both.yaml", first)
    samples = load_features(again).samples
    assert Outline.heard == 2 * sum(sample.corpus == "other" for sample in samples)
    fresh = extracted(tmp_path / "elsewhere", corpora / "both.yaml", first)
    for name in (ROWS, VIRTUAL):
        assert (again / name).read_bytes() == (fresh / name).read_bytes()
    assert two.name != again.name


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset_load_normalize": False},
        {"dataset_feature_extract_methods": {"Outline": {"scale": 2}}},
        {"version": 2},
        {"force": True},
        {"altered": True},
        {"format": -1},
    ],
    ids=str,
)
def test_what_is_not_the_same_is_heard_again(
    changes: dict[str, Any], corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = extracted(tmp_path / "data", corpora / "one", {})
    clips = Outline.heard
    monkeypatch.setattr(Outline, "version", changes.get("version", 1))
    if "altered" in changes:
        content = (first / ROWS).read_bytes()
        (first / ROWS).write_bytes(content[:-4] + b"else")
    if "format" in changes:
        made_from = feature_identity(
            Dataset(tmp_path / "data", str(corpora / "one")).prepare(), parse(FeatureConfig, WHOLE)
        )
        forge_stamp(first, {**made_from, "format": -1})
    settings = {name: value for name, value in changes.items() if name.startswith("dataset_")}
    second = tmp_path / "data" / "features" / "second"
    corpus = Dataset(tmp_path / "data", str(corpora / "one")).extract()
    Outline.heard = 0
    extract_features(corpus, second, parse(FeatureConfig, {**WHOLE, **settings}), force="force" in changes)
    assert Outline.heard == clips


def test_parts_know_what_is_beside_them_and_tell_it_when_joined(corpora: Path, tmp_path: Path) -> None:
    corpus = Dataset(tmp_path / "data", str(corpora / "other")).extract()
    Dataset(tmp_path / "data", str(corpora / "other")).prepare()
    config = parse(FeatureConfig, WHOLE)
    extract_features(corpus, tmp_path / "whole" / "features", config)
    for number in range(2):
        extract_part(corpus, tmp_path / "parts" / str(number), config, number, 2)
    join_parts([tmp_path / "parts" / str(number) for number in range(2)], tmp_path / "parts" / "joined")
    Outline.heard = 0
    for name in (ROWS, "clips.json"):
        ours, theirs = (tmp_path / place / name for place in ("parts/joined", "whole/features"))
        assert ours.read_bytes() == theirs.read_bytes()
    for number in range(2):
        shutil.rmtree(tmp_path / "parts" / str(number))
    extract_part(corpus, tmp_path / "parts" / "again", config, 1, 2)
    assert Outline.heard == 0
