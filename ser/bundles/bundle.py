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

import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ser.audio.recordings import SAMPLE_RATE_HZ, Samples
from ser.bundles.judgements import Judgements
from ser.bundles.litert import LiteRTModel
from ser.bundles.manifest import (
    FILES,
    FRONTEND,
    LARGEST_BYTES,
    MANIFEST,
    REPORT,
    SPEAKERS,
    TFLITE,
    VALIDATION,
    Manifest,
)
from ser.encoders import MissingEncoderError
from ser.errors import DamagedError
from ser.features import About
from ser.features.feature_set import FeatureSet
from ser.features.frontend import FrontEnd, unpack_frontend
from ser.features.standardiser import Standardiser
from ser.speakers.statistics import SpeakerAdaptation, SpeakerStatistics, known_speakers, with_profiles
from ser.storage.arrays import unpack_arrays
from ser.storage.files import sha256
from ser.storage.stored_file import StoredFolder

_SLACK = 1e-3
"""How far from 1 the sum of float32 probabilities may be."""


class Bundle:
    """A whole model on disk. Files are checked when the bundle is opened, and read when they are needed.

    What is read is held against the manifest again: what is used is what was hashed.

    Raises:
        DamagedError: If a file is missing, altered, no regular file or behind a link; the message names it. As well
            when a file is read that has its SHA-256, and is not what the others make of it.
        StorageError: If the operating system does not let a file be read.
    """

    def __init__(self, folder: Path, name: str = "") -> None:
        """Opens a bundle.

        Args:
            folder: The bundle's folder, no link.
            name: What to call it in errors, by default its path.
        """
        self.folder = folder
        self._files = StoredFolder(folder, name or str(folder))
        self.manifest = Manifest.load(self._files)
        for file, expected in self.manifest.files.items():
            if self._files.sha256(file, at_most=LARGEST_BYTES[file]) != expected:
                raise self._altered(file)

    def __repr__(self) -> str:
        """Which model, and what it knows: `Bundle('models/KerasClassifier-0123456789ab': anger, joy)`."""
        return f"Bundle({str(self.folder)!r}: {', '.join(self.manifest.classes)})"

    @property
    def report(self) -> Path:
        """Where the report lies, if the model was evaluated."""
        return self.folder / REPORT

    @property
    def frontend(self) -> FrontEnd:
        """The front-end that the model was trained behind."""
        return self._front[0]

    @property
    def standardiser(self) -> Standardiser:
        """Fitted on the training pieces."""
        return self._front[1]

    @cached_property
    def _front(self) -> tuple[FrontEnd, Standardiser]:
        return unpack_frontend(self._read(FRONTEND), self.manifest.frontend, self._files.where(FRONTEND))

    @cached_property
    def model(self) -> LiteRTModel:
        """The network, ready to run: it fits front-end and classes, and gives probabilities."""
        where = self._files.where(TFLITE)
        model = LiteRTModel(self._read(TFLITE), where)
        width = self.frontend.num_features + (self.adaptation.num_columns if self.adaptation else 0)
        classes = len(self.manifest.classes)
        if model.num_features != width or model.num_outputs not in (classes, classes + 1):
            raise DamagedError(
                f"{where}: expected a network from {width} features to {classes} classes, and familiarity at most, got "
                f"one from {model.num_features} to {model.num_outputs}"
            )
        # Of a sound, as a row that no sound gives may be one that a network cannot judge.
        try:
            rows = self.frontend.transform(_probe(), About())
        except MissingEncoderError:  # what was held out can be judged without
            rows = self.validation.rows[:1]
        answer = model(with_profiles(self.standardiser(rows), self.adaptation, (None,)))
        check_judgements(Judgements.of(answer, classes), where)
        return model

    @cached_property
    def validation(self) -> FeatureSet:
        """Features and labels of the held-out recordings."""
        where = self._files.where(VALIDATION)
        found = FeatureSet.unpack(self._read(VALIDATION), where)
        names, labels = [sample.name for sample in found.samples], {sample.emotion for sample in found.samples}
        if sorted(names) != sorted(self.manifest.validation_samples) or labels - set(self.manifest.classes):
            raise DamagedError(
                f"{where}: expected the validation samples that {MANIFEST} names, with labels of its classes"
            )
        if found.rows.shape[1] != self.frontend.num_features:
            raise DamagedError(
                f"{where}: expected rows of {self.frontend.num_features} features, got {found.rows.shape[1]}"
            )
        return found

    @property
    def adapts(self) -> bool:
        """Whether the model adapts to speakers whose clips are known."""
        return self.manifest.adapts

    @cached_property
    def adaptation(self) -> SpeakerAdaptation | None:
        """The training speakers, of a model that adapts; None of one that does not."""
        if not self.adapts:
            return None
        where = self._files.where(SPEAKERS)
        found = SpeakerAdaptation.from_arrays(unpack_arrays(self._read(SPEAKERS), where), where)
        expected = sum(self.frontend.statistics_widths().values())
        if len(found.mean) != expected:
            raise DamagedError(f"{where}: expected statistics of {expected} numbers, got {len(found.mean)}")
        return found

    def judge(
        self, rows: npt.NDArray[np.float32], speakers: Sequence[SpeakerStatistics | None] = (None,)
    ) -> Judgements:
        """What the model makes of pieces.

        Args:
            rows: float32, shape (n_pieces, n_features), as the front-end gives them.
            speakers: What is known of who speaks each piece, n_pieces entries or one for all; None of a stranger. A
                model that does not adapt takes no notice.

        Returns:
            Judgements of n_pieces rows.

        Raises:
            DamagedError: If the numbers are not finite.
        """
        answer = self.model(with_profiles(self.standardiser(rows), self.adaptation, speakers))
        # A sum is finite where each number is; one pass, without an array between.
        if not math.isfinite(answer.sum()):
            where = self._files.where(TFLITE)
            raise DamagedError(f"{where}: the network gives numbers that are not finite, for this recording at least")
        return Judgements.of(answer, len(self.manifest.classes))

    def predict(
        self, rows: npt.NDArray[np.float32], speakers: Sequence[SpeakerStatistics | None] = (None,)
    ) -> npt.NDArray[np.float32]:
        """Class probabilities of pieces: float32, shape (n_pieces, n_classes); arguments and errors as of `judge`."""
        return self.judge(rows, speakers).probabilities

    def predict_set(self, features: FeatureSet) -> npt.NDArray[np.float32]:
        """Class probabilities of the pieces of recordings; a speaker that the model was trained on it knows.

        Returns:
            float32, shape (n_pieces, n_classes).
        """
        return self.predict(features.rows, known_speakers(self.adaptation, features.speakers))

    def _read(self, name: str) -> bytes:
        content = self._files.read(name, at_most=LARGEST_BYTES[name])
        if hashlib.sha256(content).hexdigest() != self.manifest.files[name]:
            raise self._altered(name)
        return content

    def _altered(self, name: str) -> DamagedError:
        where = self._files.where(name)
        return DamagedError(f"{where} was altered: its SHA-256 is not the manifest's; train it again with force")


def _probe() -> Samples:
    """Half a second that is a little like a voice: float32 at `SAMPLE_RATE_HZ`, harmonics of 150 Hz in syllables."""
    moments = np.arange(SAMPLE_RATE_HZ // 2) / SAMPLE_RATE_HZ
    tones = sum(np.sin(2 * np.pi * 150 * number * moments) / number for number in range(1, 20))
    sound: Samples = (0.2 * tones * np.sin(2 * np.pi * 4 * moments) ** 2).astype(np.float32)
    return sound


def check_judgements(judgements: Judgements, where: str) -> None:
    """Holds what a network gave against what probabilities and familiarity are.

    Args:
        judgements: What it gave.
        where: What to name in an error.

    Raises:
        DamagedError: If one is not finite or not from 0 to 1, or a row of probabilities does not sum to 1.
    """
    probabilities, familiarity = judgements.probabilities, judgements.familiarity
    sums = probabilities.sum(axis=1)
    if not (probabilities.min(initial=0) >= -_SLACK and np.abs(sums - 1).max(initial=0) <= _SLACK):  # NaN is neither
        raise DamagedError(f"{where}: expected probabilities that are finite and sum to 1, the network gives others")
    if familiarity is not None and not (np.abs(familiarity - 0.5) <= 0.5 + _SLACK).all():  # NaN is not
        raise DamagedError(f"{where}: expected a familiarity from 0 to 1, the network gives another")


def file_digests(folder: Path) -> Mapping[str, str]:
    """SHA-256 of each of a bundle's files."""
    return {name: sha256(folder / name) for name in (*FILES, SPEAKERS) if (folder / name).is_file()}
