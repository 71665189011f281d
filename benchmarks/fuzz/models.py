"""The models that inputs are made from, trained by a process of its own: this one stays without TensorFlow.

python -m benchmarks.fuzz.models FOLDER
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PLAIN = ("KerasClassifier", {"epochs": 2}, {"MFCC": {"num_cepstral": 4}, "SpeakerAndGenderAndTextType": {}})
ADAPTIVE = ("FunctionalsClassifier", {}, {"Functionals": {}})
"""One that adapts to speakers."""
_CLIPS = 70


def ensure_models(folder: Path) -> Path:
    """Trains them into a folder, unless they are there; under a minute.

    Raises:
        subprocess.CalledProcessError: If a training fails; its words are on standard error.
    """
    if len(list(folder.glob("models/*/manifest.json"))) < len((PLAIN, ADAPTIVE)):
        subprocess.run([sys.executable, "-m", "benchmarks.fuzz.models", str(folder)], check=True)
    return folder / "models"


def model_of(models: Path, model_type: str) -> Path:
    """The folder of the model of a type."""
    return next(path for path in sorted(models.iterdir()) if path.name.startswith(model_type))


def main() -> None:
    """Trains each."""
    from ser.dataset import Dataset
    from ser.trainer import Trainer

    folder = Path(sys.argv[1])
    for model_type, config, methods in (PLAIN, ADAPTIVE):
        dataset = Dataset(folder / "data", f"embedded:?clips={_CLIPS}")
        dataset.load("min")
        Trainer(model_type, config).train(dataset.feature_extract(methods), folder / "models")


if __name__ == "__main__":
    main()
