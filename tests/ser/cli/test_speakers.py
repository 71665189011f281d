"""`ser speakers --delete-all`, `ser models --delete`: what they name is gone, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ser.bundles.bundle import Bundle
from ser.predictor import Predictor
from tests.inference_server.harness import serve
from tests.ser.cli.test_cli import ser
from tests.signals import tone, wav

CLIP = wav(tone(1.0))


@pytest.fixture
def home(adaptive: Bundle, tmp_path: Path) -> Path:
    """A folder with a model for which two people have enrolled."""
    shutil.copytree(adaptive.folder, tmp_path / "models" / adaptive.manifest.model_id)
    predictor = Predictor(tmp_path / "models", adaptive.manifest.model_id)
    for speaker in ("anna", "ben"):
        predictor.enroll(speaker, [CLIP])
    return tmp_path


def enrolled(home: Path, model_id: str) -> set[str]:
    return {one.speaker for one in Predictor(home / "models", model_id).speakers.list() if one.enrolled_clips}


def voices(home: Path) -> list[Path]:
    return list((home / "models" / ".speakers").rglob("*.npz"))


@pytest.mark.parametrize("named", [False, True], ids=["of the newest model", "of a model by name"])
def test_all_who_enrolled_are_forgotten_and_those_of_the_training_stay(
    home: Path, adaptive: Bundle, named: bool
) -> None:
    model_id = adaptive.manifest.model_id
    assert enrolled(home, model_id) == {"anna", "ben"}
    done = ser("speakers", "--delete-all", *(["--model-id", model_id] if named else []), cwd=home)
    assert done.returncode == 0, done.stderr
    assert enrolled(home, model_id) == set()
    assert voices(home) == []
    listed = json.loads(ser("speakers", "--json", "--model-id", model_id, cwd=home).stdout)["speakers"]
    assert {one["enrolled_clips"] for one in listed} == {0}
    assert adaptive.adaptation is not None
    assert {one["speaker"] for one in listed} == set(adaptive.adaptation.known)


def test_one_is_forgotten_and_the_other_stays(home: Path, adaptive: Bundle) -> None:
    assert ser("speakers", "--delete", "anna", cwd=home).returncode == 0
    assert enrolled(home, adaptive.manifest.model_id) == {"ben"}


def test_the_voices_of_a_model_that_is_gone_are_deleted_by_its_name(home: Path, adaptive: Bundle) -> None:
    model_id = adaptive.manifest.model_id
    shutil.rmtree(home / "models" / model_id)
    done = ser("speakers", "--delete-all", "--model-id", model_id, cwd=home)
    assert (done.returncode, done.stdout.strip()) == (0, f"forgot all who enrolled for {model_id}")
    assert voices(home) == []
    again = ser("speakers", "--delete-all", "--model-id", model_id, cwd=home)
    assert (again.returncode, again.stdout.strip()) == (0, f"nobody enrolled for {model_id}")
    for wrong in ("..", "../models", "a/b"):
        refused = ser("speakers", "--delete-all", "--model-id", wrong, cwd=home)
        assert refused.returncode != 0
        assert "model_id" in refused.stderr


def test_all_are_forgotten_by_a_server(home: Path, adaptive: Bundle) -> None:
    model_id = adaptive.manifest.model_id
    with serve(home) as server:
        done = ser("speakers", "--delete-all", "--model-id", model_id, "--server", server.grpc)
        assert done.returncode == 0, done.stderr
    assert enrolled(home, model_id) == set()


def test_a_model_is_deleted_with_who_enrolled_for_it_and_no_other(home: Path, adaptive: Bundle, bundle: Bundle) -> None:
    gone, other = adaptive.manifest.model_id, bundle.manifest.model_id
    shutil.copytree(bundle.folder, home / "models" / other)
    refused = ser("models", "--delete", cwd=home)
    assert refused.returncode != 0
    assert "model_id" in refused.stderr
    done = ser("models", gone, "--delete", cwd=home)
    assert (done.returncode, done.stdout.strip()) == (0, f"deleted {gone}, and who enrolled for it")
    assert voices(home) == []
    assert [path.name for path in (home / "models").iterdir() if not path.name.startswith(".")] == [other]
    again = ser("models", gone, "--delete", cwd=home)
    assert again.returncode != 0
    assert gone in again.stderr
