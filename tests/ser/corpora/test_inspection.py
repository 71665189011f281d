"""`ser corpus inspect` on corpora with all that can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ser.corpora.inspection import Inspection, inspect_corpus
from ser.dataset import Dataset
from ser.errors import CorpusError
from tests.ser.cli.test_cli import ser
from tests.ser.corpora.test_corpora_file import corpora, ravdess, write
from tests.signals import tone, wav


def inspect(tmp_path: Path, source: str) -> Inspection:
    dataset = Dataset(tmp_path / "data", source)
    return inspect_corpus(dataset.extract(), source, dataset.parts())


BAD = {
    "wav/03a01Fa.wav": wav(tone(0.5, 44_100), 44_100),
    "wav/03a01Fb.wav": wav(tone(0.7)),
    "wav/08a01Fa.wav": wav(tone(0.7)),
    "wav/08a02Wa.wav": wav(np.stack([tone(0.6), tone(0.6)], axis=1)),
    "wav/08a02Wb.wav": wav(0.001 * tone(0.6)),
    "wav/08a02La.wav": wav(tone(0.8)),
    "wav/09a02Wa.wav": wav(tone(0.5) * 0),
    "wav/10a02Wa.wav": b"no audio",
    "wav/11a02Wa.wav": wav(tone())[:-100],
    "wav/take1.wav": wav(tone(0.9)),
    "other/03a01Fa.wav": wav(tone(1.1)),
}


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    found = inspect(tmp_path, str(write(tmp_path / "bad", BAD)))
    assert [(part.scheme, part.files) for part in found.corpora] == [("EmoDB", 11)]
    assert found.recordings == 7
    assert set(found.unreadable) == {"wav/09a02Wa.wav", "wav/10a02Wa.wav", "wav/11a02Wa.wav"}
    assert "silence" in found.unreadable["wav/09a02Wa.wav"]
    assert found.strangers == ("wav/take1.wav",)
    assert found.quiet == ("wav/08a02Wb.wav",)
    assert found.duplicates == (("wav/03a01Fb.wav", "wav/08a01Fa.wav"),)
    assert found.single_file_labels == ("boredom",)
    assert found.missing_combinations == (("03", "anger"), ("03", "boredom"))
    assert found.sample_rates_hz == {16_000: 6, 44_100: 1}
    assert found.channels == {1: 6, 2: 1}
    assert found.labels == {"anger": 2, "boredom": 1, "happiness": 4}
    assert found.labels_by_speaker == {"03": {"happiness": 3}, "08": {"anger": 2, "boredom": 1, "happiness": 1}}
    assert found.seconds["max"] == 1.1
    said = "\n".join(found.problems)
    for expected in (
        "1 of 11 audio files do not follow EmoDB's naming: wav/take1.wav",
        "1 file names come in several folders: 03a01Fa.wav",
        "cut short",
        "can be decoded",
        "silence",
        "One recording cannot be both learnt and tested: boredom",
    ):
        assert expected in said
    with pytest.raises(CorpusError):
        Dataset(tmp_path / "data", str(tmp_path / "bad")).prepare()


def test_a_good_corpus_has_no_problems_and_the_manifest_s_figures(dataset: Dataset) -> None:
    found = inspect_corpus(dataset.extract(), "corpus.zip")
    clips = dataset.prepare().clips
    assert found.problems == ()
    assert found.recordings == len(clips)
    assert found.hours == pytest.approx(sum(clip.seconds for clip in clips) / 3600, abs=1e-3)
    assert sum(found.labels.values()) == len(clips)
    assert {one.protocol: one.verdict for one in found.protocols}["leave one speaker out"] in ("yes", "with care")


def test_names_that_no_scheme_knows_are_all_told_of(tmp_path: Path) -> None:
    found = inspect(tmp_path, str(write(tmp_path / "odd", ["take 1.wav", "take 2.wav"])))
    assert (found.corpora[0].scheme, found.recordings, found.strangers) == ("", 0, ("take 1.wav", "take 2.wav"))
    assert "follow no known corpus" in found.problems[0]


def test_wrong_rows_of_a_manifest_are_told_of(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", ["1.wav", "2.wav"])
    (folder / "labels.csv").write_text("file,label\n1.wav,x\n3.wav,y\n../2.wav,y\n")
    found = inspect(tmp_path, str(folder))
    assert found.recordings == 1
    assert [problem[:18] for problem in found.problems[:2]] == ["labels.csv, row 3,", "labels.csv, row 4,"]


def test_several_corpora_are_inspected_as_they_would_be_learnt(tmp_path: Path) -> None:
    ravdess(tmp_path / "ravdess")
    write(tmp_path / "savee", ["DC/a01.wav", "DC/n01.wav"])
    url = corpora(
        tmp_path / "corpora.yaml",
        {"name": "r", "url": "ravdess", "labels": {"calm": "neutral", "surprise": None, "joy": "happiness"}},
        {"name": "s", "url": "savee"},
    )
    found = inspect(tmp_path, url)
    assert [(part.name, part.scheme, part.left_out) for part in found.corpora] == [
        ("r", "RAVDESS", 1),
        ("s", "SAVEE", 0),
    ]
    assert found.labels == {"anger": 2, "neutral": 3}
    assert set(found.labels_by_speaker) == {"r/01", "r/02", "s/DC"}
    assert "r: labels: 'joy' is no label of r" in found.problems[0]
    assert [one.by for one in found.confounding] == ["speaker", "text", "corpus"]
    assert found.protocols[-1].verdict == "yes"


def test_the_command_prints_json_and_a_page(tmp_path: Path) -> None:
    folder = write(tmp_path / "bad", BAD)
    answer = ser("corpus", "inspect", folder, "--data-path", tmp_path / "data", "--json")
    assert json.loads(answer.stdout)["labels"] == {"anger": 2, "boredom": 1, "happiness": 4}
    page = ser("corpus", "inspect", folder, "--data-path", tmp_path / "data").stdout
    for expected in ("EmoDB", "7 recordings", "happiness", "would be refused", "cut short", "leave one speaker out: "):
        assert expected in page
