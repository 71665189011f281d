"""Small models for benchmarks, trained by a process of its own: the one that asks stays without TensorFlow."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ser.bundles.manifest import Manifest
from ser.errors import NotFoundError

_PLAIN: dict[str, Any] = {"MFCC": {"num_cepstral": 4}, "SpeakerAndGenderAndTextType": {}}
_ADAPTIVE: dict[str, Any] = {"Functionals": {}}
_KINDS = {"plain": (False, 42), "adaptive": (True, 42), "another": (False, 7)}
"""Whether it adapts to speakers, and its seed."""
CLIPS = 70
"""Recordings that they are trained on, of the embedded corpus."""


def ensure_models(folder: Path) -> tuple[Path, Path]:
    """Finds a model and one that adapts to speakers in a folder; trains those that are missing, in half a minute.

    Returns:
        Their folders, in this order.

    Raises:
        subprocess.CalledProcessError: If a training fails; its words are on standard error.
    """
    return _ensure(folder, "plain"), _ensure(folder, "adaptive")


def ensure_another(folder: Path) -> Path:
    """The first of `ensure_models`, trained with another seed."""
    return _ensure(folder, "another")


def copy_as(model: Path, target: Path) -> None:
    """Copies a model under another name: that of the folder."""
    shutil.copytree(model, target)
    Manifest.load(model).model_copy(update={"model_id": target.name}).save(target)


def main() -> None:
    """Trains one: its folder and its name are the arguments."""
    from ser.dataset import Dataset
    from ser.trainer import Trainer

    folder, name = Path(sys.argv[1]), sys.argv[2]
    adapts, seed = _KINDS[name]
    dataset = Dataset(folder / "data", f"embedded:?clips={CLIPS}")
    dataset.load("min")
    features = dataset.feature_extract(_ADAPTIVE if adapts else _PLAIN)
    kind, config = ("FunctionalsClassifier", {}) if adapts else ("KerasClassifier", {"epochs": 2})
    Trainer(kind, config, random_state=seed).train(features, folder / "models")


def _ensure(folder: Path, name: str) -> Path:
    if (found := _find(folder, name)) is None:
        subprocess.run([sys.executable, "-m", "benchmarks.models", str(folder), name], check=True)
        found = _find(folder, name)
    if found is None:
        raise NotFoundError(f"{folder}: the {name} model is not there although it was trained")
    return found


def _find(folder: Path, name: str) -> Path | None:
    for path in sorted(folder.glob("models/[!.]*/manifest.json")):
        manifest = Manifest.load(path.parent)
        if (manifest.adapts, manifest.random_state) == _KINDS[name]:
            return path.parent
    return None


if __name__ == "__main__":
    main()
