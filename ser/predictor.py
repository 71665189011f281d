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
from ser.errors import ConfigError, FieldViolation, NotFoundError, UnsupportedError
from ser.features import About
from ser.model_store import find_bundle
from ser.speakers import SpeakerStatistics

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
    speaker_clips: int = 0
    """How many clips of the speaker the model adapted to; 0 if it did not."""

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
        """As a JSON object; what is unknown, empty or 0 is left out."""
        content = asdict(self)
        if self.ground_truth is None:
            del content["ground_truth"]
        if not self.unknown:
            del content["unknown"]
        if not self.speaker_clips:
            del content["speaker_clips"]
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
        speaker: SpeakerStatistics | None = None,
        name: str | None = None,
        threshold: float = 0.0,
        max_seconds: float = audio.MAX_SECONDS,
    ) -> Prediction:
        """Predicts a recording.

        Args:
            recording: A file's path, or the bytes of one: WAV, FLAC, OGG or MP3, any rate and channels.
            about: Who speaks and what is said, for models that use it; unknown values count as nothing known.
            speaker: What is known of the speaker's voice, see `listen`; by default what the model knows of
                `about.speaker`, if that is one it was trained on.
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
        prediction = self.predict_samples(samples, about=about or About(), speaker=speaker, name=name)
        return prediction.or_uncertain(threshold)

    def predict_samples(
        self, samples: audio.Samples, *, about: About, name: str, speaker: SpeakerStatistics | None = None
    ) -> Prediction:
        """Predicts what is decoded already.

        Args:
            samples: float32, shape (n_samples,), n_samples > 0, at `ser.audio.SAMPLE_RATE_HZ`.
            about: Who speaks and what is said.
            name: What to call it.
            speaker: What is known of the speaker's voice, as of `predict`.
        """
        frontend = self.bundle.frontend
        rows = frontend.transform(samples, about)
        seconds = len(samples) / audio.SAMPLE_RATE_HZ
        prediction = self._prediction(name, rows, seconds, speaker or self._known(about.speaker))
        return replace(prediction, unknown=frontend.unknown(about))

    def listen(self, samples: audio.Samples) -> SpeakerStatistics:
        """What a clip tells of its speaker's voice; add what several clips tell.

        Args:
            samples: float32, shape (n_samples,), n_samples > 0, at `ser.audio.SAMPLE_RATE_HZ`.

        Raises:
            UnsupportedError: If the model does not adapt to speakers.
        """
        if not self.bundle.adapts:
            raise UnsupportedError(
                f"{self.model_id} does not adapt to speakers; train a model type that does, as EnsembleClassifier"
            )
        rows = self.bundle.frontend.transform(samples, About())
        return self.bundle.frontend.statistics(rows, clips=1)

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
        known = self._known(found.speaker)
        return self._prediction(sample_name, rows, found.seconds, known, found.emotion).or_uncertain(threshold)

    def _known(self, speaker: str | None) -> SpeakerStatistics | None:
        """Statistics of a speaker that the model was trained on."""
        adaptation = self.bundle.adaptation
        return adaptation.known.get(speaker) if adaptation and speaker else None

    def _prediction(
        self,
        name: str,
        rows: npt.NDArray[np.float32],
        seconds: float,
        speaker: SpeakerStatistics | None,
        ground_truth: str | None = None,
    ) -> Prediction:
        per_piece = self.bundle.predict(rows, [speaker])
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
        return Prediction(
            name,
            self.classes[int(mean.argmax())],
            self._by_label(mean),
            pieces,
            ground_truth,
            speaker_clips=speaker.clips if speaker and self.bundle.adapts else 0,
        )

    def _by_label(self, probabilities: Sequence[float] | npt.NDArray[Any]) -> dict[str, float]:
        return {label: float(value) for label, value in zip(self.classes, probabilities, strict=True)}
