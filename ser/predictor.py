"""`Predictor`: the emotion of held-out samples and of recordings of one's own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ser import audio
from ser.bundle import Bundle
from ser.errors import ConfigError, FieldViolation, NotFoundError
from ser.features import About
from ser.model_store import find_bundle

UNCERTAIN = "uncertain"
"""The prediction of a recording whose most probable label is less probable than was asked for."""


@dataclass(frozen=True)
class Piece:
    """One piece of a recording and what the model makes of it."""

    start_seconds: float
    end_seconds: float
    probabilities: dict[str, float]
    """Label to probability."""


@dataclass(frozen=True)
class Prediction:
    """What the model makes of one recording."""

    sample_name: str
    """The file's name."""
    prediction: str
    """The most probable label, or `UNCERTAIN`."""
    probabilities: dict[str, float]
    """Label to probability: the mean over the pieces."""
    pieces: tuple[Piece, ...]
    ground_truth: str | None = None
    """The label, where it is known."""
    unknown: tuple[str, ...] = ()
    """Which of speaker, gender and text the model would use and did not know: their features were zero."""

    def or_uncertain(self, threshold: float) -> Self:
        """This, or `UNCERTAIN` in place of the label where the most probable one has less than a threshold.

        Args:
            threshold: 0 to 1; 0 is never uncertain.

        Raises:
            ConfigError: If it is something else.
        """
        if not 0 <= threshold <= 1:
            raise ConfigError([FieldViolation("threshold", f"expected 0 to 1, got {threshold:g}")])
        return replace(self, prediction=UNCERTAIN) if max(self.probabilities.values()) < threshold else self

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; an unknown ground truth is left out, and an empty `unknown`."""
        content = asdict(self)
        if self.ground_truth is None:
            del content["ground_truth"]
        if not self.unknown:
            del content["unknown"]
        return content


class Predictor:
    """A model, ready to predict. Imports neither TensorFlow nor librosa.

    Example:
        >>> predictor = Predictor("models", "KerasClassifier-0123456789ab")  # doctest: +SKIP
        >>> predictor.predict("clip.wav").prediction  # doctest: +SKIP
        'anger'
    """

    def __init__(self, model_save_path: str | os.PathLike[str], model_id: str) -> None:
        """Opens a model and checks that it is whole.

        Args:
            model_save_path: Folder of models, or its address in an object store, as `s3://bucket/models`.
            model_id: Which model.

        Raises:
            NotFoundError: If there is no such model.
            DamagedError: If one of its files is missing or altered.
            StoreError: If the address cannot be reached.
        """
        self.bundle = Bundle(find_bundle(model_save_path, model_id))
        self.model_id = self.bundle.manifest.model_id
        self.classes = self.bundle.manifest.classes

    def predict(
        self,
        recording: str | os.PathLike[str] | bytes,
        *,
        about: About | None = None,
        name: str | None = None,
        threshold: float = 0.0,
        max_seconds: float = audio.MAX_SECONDS,
    ) -> Prediction:
        """Predicts a recording.

        Args:
            recording: A file's path, or the bytes of one: WAV, FLAC, OGG or MP3, any rate and channels.
            about: Who speaks and what is said, for models that use it; unknown values count as nothing known.
            name: What to call it, by default the file's name.
            threshold: Least probability of an answer, 0 to 1; where the most probable label has less, the prediction is
                `UNCERTAIN`.
            max_seconds: Longest recording taken, in seconds.

        Raises:
            ConfigError: If the threshold is not from 0 to 1.
            NotFoundError: If there is no such file.
            AudioError: If it cannot be decoded, or holds nothing to analyse.
            LimitError: If it is longer than `max_seconds`.
        """
        if isinstance(recording, bytes):
            name = name or "audio"
            samples = audio.decode(recording, name=name, max_seconds=max_seconds).samples
        else:
            name = name or Path(recording).name
            samples = audio.read(Path(recording), max_seconds=max_seconds).samples
        return self.predict_samples(samples, about=about or About(), name=name).or_uncertain(threshold)

    def predict_samples(self, samples: audio.Samples, *, about: About, name: str) -> Prediction:
        """Predicts what is decoded already.

        Args:
            samples: float32, shape (n_samples,), n_samples > 0, at `ser.audio.SAMPLE_RATE_HZ`.
            about: Who speaks and what is said.
            name: What to call it.
        """
        frontend = self.bundle.frontend
        rows = frontend.transform(samples, about)
        prediction = self._prediction(name, rows, len(samples) / audio.SAMPLE_RATE_HZ)
        return replace(prediction, unknown=frontend.unknown(about))

    def predict_sample(self, sample_name: str, *, threshold: float = 0.0) -> Prediction:
        """Predicts one of the recordings that were held out of training.

        Args:
            sample_name: Which.
            threshold: See `predict`.

        Raises:
            NotFoundError: If it is not one of them.
            ConfigError: If the threshold is not from 0 to 1.
        """
        validation = self.bundle.validation
        found = next((sample for sample in validation.samples if sample.name == sample_name), None)
        if found is None:
            held_out = [sample.name for sample in validation.samples]
            raise NotFoundError(
                f"sample_name: {sample_name!r} is not among the model's {len(held_out)} validation samples, "
                f"as {', '.join(held_out[:3])}"
            )
        rows = validation.select([sample_name]).rows
        return self._prediction(sample_name, rows, found.seconds, found.emotion).or_uncertain(threshold)

    def _prediction(
        self, name: str, rows: npt.NDArray[np.float32], seconds: float, ground_truth: str | None = None
    ) -> Prediction:
        per_piece = self.bundle.predict(rows)
        mean = per_piece.mean(axis=0, dtype=np.float64)
        piece_seconds = self.bundle.frontend.piece_samples / audio.SAMPLE_RATE_HZ
        pieces = tuple(
            Piece(
                round(number * piece_seconds, 6),
                round(min((number + 1) * piece_seconds, seconds), 6),
                self._by_label(row),
            )
            for number, row in enumerate(per_piece)
        )
        return Prediction(name, self.classes[int(mean.argmax())], self._by_label(mean), pieces, ground_truth)

    def _by_label(self, probabilities: Sequence[float] | npt.NDArray[Any]) -> dict[str, float]:
        return {label: float(value) for label, value in zip(self.classes, probabilities, strict=True)}
