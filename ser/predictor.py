"""`Predictor`: the emotion of held-out samples and of recordings of one's own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial, reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from ser.audio.recordings import MAX_SECONDS, SAMPLE_RATE_HZ, Check, Samples, decode, of_samples, read
from ser.bundles.model_store import newest_model, open_bundle, training_now
from ser.errors import AudioError, ConfigError, FieldViolation, NotFoundError, UnsupportedError
from ser.extras import require
from ser.features import About
from ser.speakers.enrolment import REFRESH_SECONDS, Speakers, check_speaker
from ser.speakers.statistics import SpeakerAdaptation, SpeakerStatistics, together

if TYPE_CHECKING:
    import pandas as pd

AudioFile = str | os.PathLike[str] | bytes
"""A file's path, or the bytes of one: WAV, FLAC, OGG or MP3, any rate and channels."""
Audio = AudioFile | BinaryIO | tuple[npt.NDArray[Any], float]
"""An audio file, also an open one; or samples, as `ser.audio.recordings.of_samples` takes them, and their rate."""
_PIECES_AT_ONCE = 64
"""Rows that go through the network together: threads that share it wait no longer for each other than that takes."""

_KNOWN_OF_SOME = ("ground_truth", "speaker_clips", "familiarity")
UNCERTAIN = "uncertain"
"""The prediction of a recording whose most probable label is less probable than was asked for."""


@dataclass(frozen=True)
class Piece:
    """One piece of a recording and what the model makes of it."""

    start_seconds: float
    end_seconds: float
    probabilities: dict[str, float]
    """Label to probability."""


@dataclass(frozen=True, repr=False)
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
    familiarity: float | None = None
    """How much the recording resembles what the model has learnt, 0 to 1, the mean over the pieces: one half is as far
    as one in ten recordings of new speakers of its corpus, and another language, room or telephone is below, noise and
    music near 0. Below one half the probabilities are lowered. None if the model does not tell."""

    def __repr__(self) -> str:
        """What a person wants to see of it: `Prediction('clip.wav': anger 0.83, joy 0.11)`."""
        likeliest = sorted(self.probabilities.items(), key=lambda item: -item[1])
        known = [f"{label} {probability:.2f}" for label, probability in likeliest[:2]]
        return f"Prediction({self.sample_name!r}: {', '.join(known)}{', uncertain' * (self.prediction == UNCERTAIN)})"

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

    def to_dict(self) -> dict[str, Any]:
        """As plain Python, fit for JSON; what is unknown, empty or 0 is left out."""
        content = asdict(self)
        if self.ground_truth is None:
            del content["ground_truth"]
        if not self.unknown:
            del content["unknown"]
        if not self.speaker_clips:
            del content["speaker_clips"]
        if self.familiarity is None:
            del content["familiarity"]
        return content


class Predictor:
    """A model, ready to predict. Imports neither TensorFlow nor librosa.

    Example:
        >>> predictor = Predictor("models")  # doctest: +SKIP
        >>> predictor.predict("clip.wav").prediction  # doctest: +SKIP
        'anger'
        >>> predictor.predict((samples, 44_100)).prediction  # doctest: +SKIP
        'anger'
    """

    def __init__(
        self,
        model_save_path: str | os.PathLike[str],
        model_id: str | None = None,
        *,
        refresh_seconds: float = REFRESH_SECONDS,
    ) -> None:
        """Opens a model and checks that it is whole.

        Args:
            model_save_path: Folder of models, or its address in an object store, as `s3://bucket/models`.
            model_id: Which model; by default the one that was made last, as on the command line.
            refresh_seconds: How long, at an address, what was read of an enrolled speaker counts.

        Raises:
            MissingExtraError: If the extra `inference` is not installed.
            NotFoundError: If there is no such model.
            DamagedError: If one of its files is missing, altered, or no regular file.
            StorageError: If the operating system does not let one be read.
            StoreError: If the address cannot be reached.
        """
        require("predicting", "inference")
        self.bundle = open_bundle(model_save_path, model_id or newest_model(model_save_path))
        self.model_id = self.bundle.manifest.model_id
        self.classes = self.bundle.manifest.classes
        self._place = model_save_path
        self._refresh_seconds = refresh_seconds

    def __repr__(self) -> str:
        """Which model, and what it knows: `Predictor('KerasClassifier-0123456789ab': anger, joy)`."""
        return f"Predictor({self.model_id!r}: {', '.join(self.classes)})"

    def predict(
        self,
        recording: Audio | npt.NDArray[Any],
        *,
        sample_rate_hz: float | None = None,
        about: About | None = None,
        speaker: SpeakerStatistics | None = None,
        enrollment_clips: Sequence[Audio] | SpeakerStatistics = (),
        name: str | None = None,
        threshold: float = 0.0,
        max_seconds: float = MAX_SECONDS,
    ) -> Prediction:
        """Predicts a recording.

        Args:
            recording: What to predict.
            sample_rate_hz: Of samples that come without their rate: how many they are a second, a whole number.
            about: Who speaks and what is said, for models that use it; unknown values count as nothing known.
            speaker: What is known of the speaker's voice, see `listen`; by default what is known of `about.speaker`,
                from the training or because somebody of that name enrolled.
            enrollment_clips: Unlabelled recordings of the speaker, or what `listen_to` heard in them, to adapt to
                besides; they are not kept.
            name: What to call it, by default the file's name.
            threshold: Least probability of an answer, 0 to 1; where the most probable label has less, the prediction is
                `UNCERTAIN`.
            max_seconds: Longest recording taken, in seconds.

        Raises:
            ConfigError: If the threshold is not from 0 to 1, or samples come without a rate, or a rate without samples.
            NotFoundError: If there is no such file.
            AudioError: If it cannot be decoded, or holds nothing to analyse.
            LimitError: If it is longer than `max_seconds`.
            UnsupportedError: If there are enrollment clips and the model does not adapt to speakers.
        """
        recording = _with_rate(recording, sample_rate_hz)
        about, name = about or About(), name or _name(recording)
        if enrollment_clips:
            heard = (
                enrollment_clips
                if isinstance(enrollment_clips, SpeakerStatistics)
                else self.listen_to(enrollment_clips, max_seconds=max_seconds)
            )
            speaker = together(speaker or self.known(about.speaker), heard)
        samples = _samples(recording, name, max_seconds)
        prediction = self.predict_samples(samples, about=about, speaker=speaker or self.known(about.speaker), name=name)
        return prediction.or_uncertain(threshold)

    def predict_samples(
        self,
        samples: Samples,
        *,
        about: About,
        name: str,
        speaker: SpeakerStatistics | None = None,
        check: Check | None = None,
    ) -> Prediction:
        """Predicts what is decoded already; reads no file.

        Args:
            samples: float32, shape (n_samples,), n_samples > 0, at `ser.audio.recordings.SAMPLE_RATE_HZ`.
            about: Who speaks and what is said.
            name: What to call it.
            speaker: What is known of the speaker's voice (`known`); None of a stranger.
            check: Called between stretches of the work; what it raises ends it.
        """
        frontend = self.bundle.frontend
        rows = frontend.transform(samples, about, check=check)
        seconds = len(samples) / SAMPLE_RATE_HZ
        return self._prediction(name, rows, seconds, speaker, unknown=frontend.unknown(about), check=check)

    def listen(self, samples: Samples, *, check: Check | None = None) -> SpeakerStatistics:
        """What a clip tells of its speaker's voice; add what several clips tell.

        Args:
            samples: float32, shape (n_samples,), n_samples > 0, at `ser.audio.recordings.SAMPLE_RATE_HZ`.
            check: Called between stretches of the work; what it raises ends it.

        Raises:
            UnsupportedError: If the model does not adapt to speakers.
        """
        self._adaptation()
        rows = self.bundle.frontend.transform(samples, About(), check=check)
        return self.bundle.frontend.statistics(rows, clips=1)

    def listen_to(self, recordings: Sequence[Audio], *, max_seconds: float = MAX_SECONDS) -> SpeakerStatistics:
        """What several unlabelled recordings of one speaker tell of the voice.

        Args:
            recordings: At least one.
            max_seconds: Longest recording taken, in seconds.

        Raises:
            ConfigError: If there is none.
            NotFoundError: If one is a file that is not there.
            AudioError: If one cannot be decoded, or holds nothing to analyse.
            LimitError: If one is longer than `max_seconds`.
            UnsupportedError: If the model does not adapt to speakers.
        """
        self._adaptation()
        if not recordings:
            raise ConfigError([FieldViolation("clips", "expected at least one recording of the speaker, got none")])
        heard = [
            self.listen(_samples(recording, f"clips[{number}]", max_seconds))
            for number, recording in enumerate(recordings)
        ]
        return reduce(add, heard)

    @cached_property
    def speakers(self) -> Speakers:
        """The speakers that the model knows, and who enrolled.

        Raises:
            UnsupportedError: If the model does not adapt to speakers.
        """
        training = self.bundle.manifest.training
        return Speakers(
            self._place,
            self.model_id,
            training,
            self._adaptation(),
            partial(training_now, self._place, self.model_id),
            refresh_seconds=self._refresh_seconds,
        )

    def enroll(
        self,
        speaker: str,
        recordings: Sequence[Audio],
        *,
        replace: bool = False,
        max_seconds: float = MAX_SECONDS,
    ) -> int:
        """Lets the model know a speaker: from now on it adapts where `about.speaker` is that one.

        Sums over features are kept beside the models, no sound.

        Args:
            speaker: A name of up to 128 letters, digits, `.`, `_` and `-`.
            recordings: Unlabelled recordings of that speaker, at least one; they are added to those enrolled before.
            replace: Forget those enrolled before.
            max_seconds: Longest recording taken, in seconds.

        Returns:
            How many clips of the speaker are known now.

        Raises:
            SerError: As of `listen_to` and of `Speakers.enroll`.
        """
        check_speaker(speaker)
        heard = self.listen_to(recordings, max_seconds=max_seconds)
        return self.speakers.enroll(speaker, heard, replace=replace).clips

    def known(self, speaker: str | None) -> SpeakerStatistics | None:
        """What is known of a speaker's voice; None of a stranger, and if the model does not adapt.

        Raises:
            DamagedError: If what was enrolled does not fit the model.
            StoreError: If the address of the models cannot be reached.
        """
        return self.speakers.known(speaker) if speaker and self.bundle.adapts else None

    def predict_sample(self, sample_name: str, *, threshold: float = 0.0) -> Prediction:
        """Predicts one of the recordings that were held out of training, as the evaluation does.

        A model that adapts knows the speakers of its training, and takes no notice of who enrolled.

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
        trained = self.bundle.adaptation.known if self.bundle.adaptation else {}
        known = trained.get(found.speaker)
        prediction = self._prediction(sample_name, rows, found.seconds, known, ground_truth=found.emotion)
        return prediction.or_uncertain(threshold)

    def _adaptation(self) -> SpeakerAdaptation:
        if self.bundle.adaptation is None:
            raise UnsupportedError(
                f"{self.model_id} does not adapt to speakers; train a model type that does, as EnsembleClassifier"
            )
        return self.bundle.adaptation

    def _prediction(
        self,
        name: str,
        rows: npt.NDArray[np.float32],
        seconds: float,
        speaker: SpeakerStatistics | None,
        *,
        ground_truth: str | None = None,
        unknown: tuple[str, ...] = (),
        check: Check | None = None,
    ) -> Prediction:
        parts = []
        for start in range(0, len(rows), _PIECES_AT_ONCE):
            if check is not None:
                check()
            parts.append(self.bundle.judge(rows[start : start + _PIECES_AT_ONCE], [speaker]))
        per_piece = np.concatenate([part.probabilities for part in parts])
        told = [part.familiarity for part in parts if part.familiarity is not None]
        mean = per_piece.mean(axis=0, dtype=np.float64)
        piece_seconds = self.bundle.frontend.piece_samples / SAMPLE_RATE_HZ
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
            unknown,
            speaker_clips=speaker.clips if speaker and self.bundle.adapts else 0,
            familiarity=float(np.concatenate(told).mean()) if told else None,
        )

    def _by_label(self, probabilities: Sequence[float] | npt.NDArray[Any]) -> dict[str, float]:
        return {label: float(value) for label, value in zip(self.classes, probabilities, strict=True)}


def to_data_frame(predictions: Sequence[Prediction]) -> pd.DataFrame:
    """Predictions as a pandas data frame, a row each.

    Returns:
        Columns `sample_name` and `prediction`; for each label `probability_LABEL`, NaN where a prediction's model does
        not know it; `ground_truth`, `speaker_clips` and `familiarity` where one has them.

    Raises:
        MissingExtraError: If pandas is not installed.
    """
    require("a data frame", "pandas")
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "sample_name": prediction.sample_name,
                "prediction": prediction.prediction,
                **{f"probability_{label}": value for label, value in prediction.probabilities.items()},
                **{name: value for name, value in prediction.to_dict().items() if name in _KNOWN_OF_SOME},
            }
            for prediction in predictions
        ],
        columns=None if predictions else ["sample_name", "prediction"],
    )


def _with_rate(recording: Audio | npt.NDArray[Any], sample_rate_hz: float | None) -> Audio:
    if isinstance(recording, np.ndarray):
        if sample_rate_hz is None:
            raise ConfigError([FieldViolation("sample_rate_hz", "expected the rate of the samples, got none")])
        return recording, sample_rate_hz
    if sample_rate_hz is not None:
        raise ConfigError([FieldViolation("sample_rate_hz", "expected with samples alone: a file has its own rate")])
    return recording


def _name(recording: Audio) -> str:
    path = recording if isinstance(recording, str | os.PathLike) else getattr(recording, "name", None)
    return Path(path).name if isinstance(path, str | os.PathLike) else "audio"


def _samples(recording: Audio, name: str, max_seconds: float) -> Samples:
    match recording:
        case bytes() | bytearray() | memoryview():
            return decode(bytes(recording), name=name, max_seconds=max_seconds).samples
        case (samples, sample_rate_hz):
            return of_samples(samples, sample_rate_hz, name=name, max_seconds=max_seconds).samples
        case str() | os.PathLike():
            return read(Path(recording), max_seconds=max_seconds).samples
        case _ if hasattr(recording, "read"):
            content = recording.read()
            if not isinstance(content, bytes):
                raise AudioError(f"{name}: expected a file of bytes, as open(path, 'rb') gives, got one of text")
            return decode(content, name=name, max_seconds=max_seconds).samples
    got = type(recording).__name__
    raise AudioError(f"{name}: expected a path, bytes, an open file, or samples with their rate, got {got}")
