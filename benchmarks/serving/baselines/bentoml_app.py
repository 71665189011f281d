"""(c) BentoML, a `tf.function`, librosa; a worker a core. `BUNDLE=… bentoml serve bentoml_app:Emotion --port PORT`."""

from __future__ import annotations

import os
from pathlib import Path

import bentoml
from librosa_model import LibrosaModel


@bentoml.service(workers=os.cpu_count() or 1)
class Emotion:
    """One recording a call."""

    def __init__(self) -> None:
        self.model = LibrosaModel(os.environ["BUNDLE"], compiled=True)

    @bentoml.api(route="/predict")
    def predict(self, audio: Path, /) -> dict[str, float]:
        """Label to probability; the body is the file."""
        return self.model(audio.read_bytes())
