"""The models that inputs are made from, trained by a process of its own: this one stays without TensorFlow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from ser.bundle import Manifest
from ser.errors import NotFoundError

_PLAIN: dict[str, Any] = {"MFCC": {"num_cepstral": 4}, "SpeakerAndGenderAndTextType": {}}
_ADAPTIVE: dict[str, Any] = {"Functionals": {}}
_CLIPS = 70


def ensure_models(folder: Path) -> tuple[Path, Path]:
    """Finds a model and one that adapts to speakers in a folder; trains those that are missing, in half a minute.

    Returns:
        Their folders, in this order.

    Raises:
        subprocess.CalledProcessError: If a training fails; its words are on standard error.
    """
    if _of(folder, adapts=False) is None or _of(folder, adapts=True) is None:
        subprocess.run([sys.executable, "-m", "benchmarks.fuzz.models", str(folder)], check=True)
    plain, adaptive = _of(folder, adapts=False), _of(folder, adapts=True)
    if plain is None or adaptive is None:
        raise NotFoundError(f"{folder}: expected a model that adapts to speakers and one that does not")
    return plain, adaptive


def main() -> None:
    """Trains both."""
    from ser.dataset import Dataset
    from ser.trainer import Trainer

    folder = Path(sys.argv[1])
    for model_type, config, methods in (
        ("KerasClassifier", {"epochs": 2}, _PLAIN),
        ("FunctionalsClassifier", {}, _ADAPTIVE),
    ):
        dataset = Dataset(folder / "data", f"embedded:?clips={_CLIPS}")
        dataset.load("min")
        Trainer(model_type, config).train(dataset.feature_extract(methods), folder / "models")


def _of(folder: Path, *, adapts: bool) -> Path | None:
    paths = sorted(folder.glob("models/[!.]*/manifest.json"))
    return next((path.parent for path in paths if Manifest.load(path.parent).adapts is adapts), None)


if __name__ == "__main__":
    main()
