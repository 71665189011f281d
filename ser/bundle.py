"""The model bundle: a folder with all that it takes to predict, to retrain and to judge a model.

    manifest.json    what the model is, and the SHA-256 of every other file
    model.keras      to retrain
    model.tflite     to serve
    frontend.npz     the front-end's arrays and the standardiser
    validation.npz   features and labels of the held-out recordings
    speakers.npz     of a model that adapts to speakers: statistics of those it was trained on
    report/          the evaluation's report, written after the rest is whole

No file can run code when it is loaded. Reading a bundle imports neither TensorFlow nor librosa.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pydantic

from ser.errors import DamagedError
from ser.feature_set import FeatureSet
from ser.files import fingerprint, read_json, sha256, write_json
from ser.frontend import FrontEnd, Standardiser, load_standardiser
from ser.litert import LiteRTModel
from ser.speakers import SpeakerAdaptation, SpeakerStatistics, known_speakers, with_profiles

MANIFEST = "manifest.json"
KERAS = "model.keras"
TFLITE = "model.tflite"
FRONTEND = "frontend.npz"
VALIDATION = "validation.npz"
SPEAKERS = "speakers.npz"
REPORT = "report"
FILES = (KERAS, TFLITE, FRONTEND, VALIDATION)
"""What a bundle must hold besides its manifest; the manifest may name `SPEAKERS` as well."""


class Manifest(pydantic.BaseModel):
    """What a bundle says of itself."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    format: Literal[2] = 2
    model_id: str
    model_type: str
    hyperparameters: dict[str, Any]
    """The model type's config, complete with defaults."""
    random_state: int
    classes: tuple[str, ...]
    """The labels, in the order of the model's outputs."""
    features: dict[str, Any]
    """The feature part of the request."""
    frontend: dict[str, Any]
    """Settings of the front-end; its arrays are in frontend.npz."""
    corpus: str
    """Registered name of the corpus whose naming the files follow."""
    source: str
    """Where the corpus came from."""
    corpus_sha256: str
    """Identifies names, labels and audio of the corpus."""
    training_samples: int
    """Recordings learnt from."""
    validation_samples: tuple[str, ...]
    """Names of the recordings held out."""
    metrics: dict[str, float]
    """On the held-out recordings: accuracy, uar, macro_f1, and chance."""
    history: dict[str, list[float]]
    """A value an epoch: loss, accuracy, val_loss, val_accuracy."""
    seconds: float
    """Wall-clock time of the training."""
    created: str
    """When, ISO 8601 in UTC."""
    versions: dict[str, str]
    """Libraries that made it."""
    files: dict[str, str]
    """SHA-256 of each file of the bundle but the report's."""

    @property
    def adapts(self) -> bool:
        """Whether the model adapts to speakers whose clips are known."""
        return SPEAKERS in self.files

    def save(self, folder: Path) -> None:
        """Writes manifest.json, with a digest of its own content."""
        content = self.model_dump(mode="json")
        write_json(folder / MANIFEST, {**content, "digest": fingerprint(content)})

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Reads manifest.json.

        Raises:
            DamagedError: If it is missing, altered or of another format.
        """
        path = folder / MANIFEST
        return cls.parse(read_json(path), str(path))

    @classmethod
    def parse(cls, content: Any, where: str) -> Manifest:
        """Checks what manifest.json has.

        Args:
            content: The decoded JSON.
            where: What to call it in an error.

        Raises:
            DamagedError: If it is altered or of another format.
        """
        digest = content.pop("digest", None) if isinstance(content, dict) else None
        if digest is None or digest != fingerprint(content):
            raise DamagedError(f"{where} was altered since it was written")
        try:
            return cls.model_validate(content)
        except pydantic.ValidationError as error:
            detail = error.errors()[0]
            field = ".".join(map(str, detail["loc"]))
            raise DamagedError(f"{where} is of another format: {field}: {detail['msg']}") from None


class Bundle:
    """A whole model on disk. Files are checked when the bundle is opened, and read when they are needed.

    Raises:
        DamagedError: If a file is missing or altered; the message names it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = Manifest.load(folder)
        for name in dict.fromkeys((*FILES, *self.manifest.files)):
            path = folder / name
            if not path.is_file():
                raise DamagedError(f"{path} is missing: the model is not whole; train it again with force")
            if sha256(path) != self.manifest.files.get(name):
                raise DamagedError(f"{path} was altered: its SHA-256 is not the manifest's; train it again with force")

    @property
    def report(self) -> Path:
        """Where the report lies, if the model was evaluated."""
        return self.folder / REPORT

    @cached_property
    def frontend(self) -> FrontEnd:
        """The front-end that the model was trained behind."""
        return FrontEnd.load(self.folder / FRONTEND, self.manifest.frontend)

    @cached_property
    def standardiser(self) -> Standardiser:
        """Fitted on the training pieces."""
        return load_standardiser(self.folder / FRONTEND)

    @cached_property
    def model(self) -> LiteRTModel:
        """The network, ready to run."""
        return LiteRTModel((self.folder / TFLITE).read_bytes())

    @cached_property
    def validation(self) -> FeatureSet:
        """Features and labels of the held-out recordings."""
        return FeatureSet.load(self.folder / VALIDATION)

    @property
    def adapts(self) -> bool:
        """Whether the model adapts to speakers whose clips are known."""
        return self.manifest.adapts

    @cached_property
    def adaptation(self) -> SpeakerAdaptation | None:
        """The training speakers, of a model that adapts; None of one that does not."""
        return SpeakerAdaptation.load(self.folder / SPEAKERS) if self.adapts else None

    def predict(
        self, rows: npt.NDArray[np.float32], speakers: Sequence[SpeakerStatistics | None] = (None,)
    ) -> npt.NDArray[np.float32]:
        """Class probabilities of pieces.

        Args:
            rows: float32, shape (n_pieces, n_features), as the front-end gives them.
            speakers: What is known of who speaks each piece, n_pieces entries or one for all; None of a stranger. A
                model that does not adapt takes no notice.

        Returns:
            float32, shape (n_pieces, n_classes); each row sums to 1.
        """
        return self.model(with_profiles(self.standardiser(rows), self.adaptation, speakers))

    def predict_set(self, features: FeatureSet) -> npt.NDArray[np.float32]:
        """Class probabilities of the pieces of recordings; a speaker that the model was trained on it knows.

        Returns:
            float32, shape (n_pieces, n_classes).
        """
        return self.predict(features.rows, known_speakers(self.adaptation, features.speakers))


def file_digests(folder: Path) -> Mapping[str, str]:
    """SHA-256 of each of a bundle's files."""
    return {name: sha256(folder / name) for name in (*FILES, SPEAKERS) if (folder / name).is_file()}
