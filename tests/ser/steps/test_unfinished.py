"""An extraction that was killed goes on where it was, and makes the same bytes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ser.config import parse
from ser.corpora.folder import load_manifest
from ser.dataset import Dataset
from ser.progress import Progress
from ser.request import FeatureConfig
from ser.steps.feature_extraction import ROWS, VIRTUAL, extract_features, extract_part
from ser.steps.unfinished import UnfinishedRows, sweep_unfinished, unfinished_folder

BODY = {"dataset_feature_extract_methods": {"MFCC": {}}, "dataset_virtual_speakers": 1}
KILLED = """
import os, signal, sys
from pathlib import Path
from ser.config import parse
from ser.request import FeatureConfig
from ser.steps.feature_extraction import extract_features, extract_part

told = 0
def die(progress):
    global told
    told += 1
    print(progress.done, flush=True)
    if told == 2:
        os.kill(os.getpid(), signal.SIGKILL)

corpus, features, part, body = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], eval(sys.argv[4])
more = () if part == "whole" else (0, 1)
(extract_part if more else extract_features)(corpus, features, parse(FeatureConfig, body), *more, report=die)
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty clips, some batches."""
    dataset = Dataset(tmp_path_factory.mktemp("unfinished"), "embedded:?clips=40")
    dataset.prepare()
    return dataset.extract()


@pytest.fixture(scope="module")
def whole(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features that were never interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "features"
    extract_features(corpus, folder, parse(FeatureConfig, BODY))
    return folder


def kill_amidst(corpus: Path, features: Path, part: str = "whole") -> int:
    """Starts an extraction, and kills it when two batches are written; how many clips those are."""
    command = [sys.executable, "-c", KILLED, str(corpus), str(features), part, repr(BODY)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    return int(ended.stdout.split()[-1])


def same(features: Path, whole: Path) -> bool:
    return all((features / name).read_bytes() == (whole / name).read_bytes() for name in (ROWS, VIRTUAL, "samples.npz"))


@pytest.mark.parametrize("part", ["whole", "part"])
def test_a_killed_extraction_goes_on_where_it_was(
    part: str, corpus: Path, whole: Path, tmp_path: Path, decoded: Counter[str]
) -> None:
    features, clips = tmp_path / "features", load_manifest(corpus).clips
    done = kill_amidst(corpus, features, part)
    assert 0 < done < len(clips)
    assert not features.exists()
    told: list[Progress] = []
    config = parse(FeatureConfig, BODY)
    if part == "whole":
        extract_features(corpus, features, config, report=told.append)
    else:
        extract_part(corpus, features, config, 0, 1, report=told.append)
    assert decoded == Counter(clip.name for clip in clips[done:])
    assert told[0].done > done
    assert same(features, whole)
    assert not unfinished_folder(features).exists()


def test_a_torn_batch_is_done_again_and_no_other(
    corpus: Path, whole: Path, tmp_path: Path, decoded: Counter[str]
) -> None:
    """As a machine that loses power leaves it: bytes that were not written, and a line of the journal in halves."""
    features, clips = tmp_path / "features", load_manifest(corpus).clips
    done = kill_amidst(corpus, features)
    folder = unfinished_folder(features)
    with (folder / ROWS).open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"torn")
    with (folder / "batches.jsonl").open("ab") as file:
        file.write(b'{"added": [[12')
    extract_features(corpus, features, parse(FeatureConfig, BODY))
    assert len(clips) - done < len(decoded) < len(clips)
    assert same(features, whole)


def test_what_other_settings_or_force_ask_for_begins_anew(
    corpus: Path, whole: Path, tmp_path: Path, decoded: Counter[str]
) -> None:
    killed, clips = tmp_path / "killed", load_manifest(corpus).clips
    kill_amidst(corpus, killed / "features")
    for name, changes, force in (("other", {"dataset_load_normalize": False}, False), ("forced", {}, True)):
        copy = Path(shutil.copytree(killed, tmp_path / name)) / "features"
        decoded.clear()
        extract_features(corpus, copy, parse(FeatureConfig, {**BODY, **changes}), force=force)
        assert len(decoded) == len(clips)
        assert same(copy, whole) is force


def test_a_full_disk_gets_its_room_back(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(UnfinishedRows, "add", no_room)
    with pytest.raises(OSError, match="No space left"):
        extract_features(corpus, tmp_path / "features", parse(FeatureConfig, BODY))
    assert [path.name for path in tmp_path.iterdir()] == [".features.lock"]


def test_what_nobody_goes_on_with_is_swept_after_a_week(tmp_path: Path) -> None:
    row = np.ones((1, 3), dtype=np.float32)
    for name in ("old", "new"):
        with UnfinishedRows(tmp_path / name, "x", {ROWS: (2, 3)}) as unfinished:
            unfinished.add([row])
    old = unfinished_folder(tmp_path / "old") / "batches.jsonl"
    week = 7 * 24 * 3600
    os.utime(old, (old.stat().st_mtime - week - 60,) * 2)
    new = unfinished_folder(tmp_path / "new") / "batches.jsonl"
    os.utime(new, (new.stat().st_mtime - week + 3600,) * 2)
    sweep_unfinished(tmp_path)
    assert not old.exists()
    with UnfinishedRows(tmp_path / "new", "x", {ROWS: (2, 3)}) as unfinished:
        assert unfinished.batches == 1
        unfinished.add([2 * row])
        (tmp_path / "made").mkdir()
        unfinished.link_into(tmp_path / "made")
    np.testing.assert_array_equal(np.load(tmp_path / "made" / ROWS), [[1, 1, 1], [2, 2, 2]])
