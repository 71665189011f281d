"""SIGKILL at random points: what is left is never taken for whole, and the same command finishes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ser.bundles.bundle import Bundle
from ser.bundles.model_store import list_models
from ser.dataset import Dataset
from tests.signals import CLIPS

KILLED = """
import os, signal, sys
from ser.config import parse
from ser.request import TrainRequest
from ser.trainer import run

def kill_self(*_):
    os.kill(os.getpid(), signal.SIGKILL)

# A deterministic random point: after so many calls of functions of ours or of the file system.
left = int(sys.argv[1])
def count(frame, event, _):
    global left
    name = frame.f_code.co_filename
    if event == "call" and (os.sep + "ser" + os.sep in name or name.endswith(("pathlib.py", "shutil.py"))):
        left -= 1
        if left == 0:
            kill_self()

if left:
    sys.setprofile(count)
request = parse(TrainRequest, {
    "data_path": sys.argv[2] + "/data",
    "remote_url": sys.argv[3],
    "model_type": "KerasClassifier",
    "model_save_path": sys.argv[2] + "/models",
    "model_config": {"epochs": 2},
})
run(request)
print("left", left)
"""


def start(folder: Path, corpus_zip: Path, calls: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", KILLED, str(calls), str(folder), str(corpus_zip)]
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(temporary)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def no_half_made_folder_is_taken_for_whole(folder: Path, corpus_zip: Path) -> None:
    for name in list_models(folder / "models"):
        Bundle(folder / "models" / name)
    for corpus in (folder / "data").glob("corpus/[!.]*"):
        assert len(list((corpus / "files" / "wav").iterdir())) == CLIPS
    for archive in (folder / "data").glob("download/[!.]*/corpus.zip"):
        assert archive.read_bytes() == corpus_zip.read_bytes()
    for rows in (folder / "data").glob("features/[!.]*/rows.npy"):
        assert rows.stat().st_size > 0


@pytest.mark.parametrize("seed", range(2))
def test_killed_runs_leave_a_state_from_which_the_same_command_finishes(
    seed: int, corpus_zip: Path, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    kills = 0
    for _ in range(3):
        ended = start(tmp_path, corpus_zip, calls=int(10 ** rng.uniform(2, 4.7)))
        assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
        kills += ended.returncode != 0
        no_half_made_folder_is_taken_for_whole(tmp_path, corpus_zip)
    assert kills
    last = start(tmp_path, corpus_zip, calls=0)
    assert last.returncode == 0, last.stderr
    assert len(list_models(tmp_path / "models")) == 1
    leftovers = [path for path in tmp_path.rglob(".*") if ".partial-" in path.name or ".replaced" in path.name]
    assert leftovers == []
    # Nor in the temporary folder, but for what Python itself tries there, which has four bytes.
    assert [path for path in (tmp_path / "tmp").iterdir() if path.is_dir() or path.stat().st_size > 4] == []


def test_two_trainings_at_once_on_one_folder_both_end_well(corpus_zip: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, "0", str(tmp_path), str(corpus_zip)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors.decode()
    assert len(list_models(tmp_path / "models")) == 1
    assert len(Dataset(tmp_path / "data", str(corpus_zip)).get_features().samples) == CLIPS
