"""What goes out and what comes back, as plain values; one conversion for both clients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from ser.errors import ConfigError, FieldViolation, NotFoundError
from ser.predictor import AudioFile, Piece, Prediction
from ser.speakers.enrolment import KnownSpeaker
from ser_api.v1 import ser_pb2


@dataclass(frozen=True)
class Recording:
    """A recording to predict, and what is known of it."""

    audio: AudioFile
    name: str | None = None
    """What to call it in the answer; by default the file's name."""
    speaker: str = ""
    gender: str = ""
    text: str = ""


@dataclass(frozen=True)
class ModelIdentity:
    """Which model answered."""

    model_id: str
    model_type: str
    sha256: str
    """Of the network's file."""
    created: str
    """When it was made, ISO 8601 in UTC."""


@dataclass(frozen=True)
class ServerPrediction(Prediction):
    """What the server's model makes of one recording."""

    model: ModelIdentity | None = None


@dataclass(frozen=True)
class TrainResult:
    """A trained model."""

    model_id: str
    test_samples: tuple[str, ...]
    """Names of the recordings held out of training."""
    metrics: dict[str, float]
    classes: tuple[str, ...]
    seconds: float
    job_id: str


def clip(recording: Recording) -> ser_pb2.Clip:
    """The message of a recording.

    Raises:
        NotFoundError: If there is no such file.
    """
    name = recording.name or ("audio" if isinstance(recording.audio, bytes) else Path(recording.audio).name)
    return ser_pb2.Clip(
        name=name,
        audio=file_bytes(recording.audio),
        speaker=recording.speaker,
        gender=recording.gender,
        text=recording.text,
    )


def file_bytes(audio: AudioFile) -> bytes:
    """The bytes of an audio file.

    Raises:
        NotFoundError: If there is no such file.
    """
    if isinstance(audio, bytes):
        return audio
    try:
        return Path(audio).read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise NotFoundError(f"{Path(audio)}: no such file") from None


def predict_request(
    recording: Recording,
    model_id: str,
    model_save_path: str,
    enrollment_clips: Iterable[AudioFile],
    uncertain_below: float,
) -> ser_pb2.PredictRequest:
    """The request about one recording."""
    one = clip(recording)
    return ser_pb2.PredictRequest(
        model_save_path=model_save_path,
        model_id=model_id,
        audio=one.audio,
        speaker=one.speaker,
        gender=one.gender,
        text=one.text,
        uncertain_below=uncertain_below,
        enrollment_clips=map(file_bytes, enrollment_clips),
    )


def predict_many_request(
    recordings: Iterable[Recording],
    model_id: str,
    model_save_path: str,
    enrollment_clips: Iterable[AudioFile],
    uncertain_below: float,
    *,
    adapt: bool,
) -> ser_pb2.PredictRequest:
    """The request about several recordings."""
    return ser_pb2.PredictRequest(
        model_save_path=model_save_path,
        model_id=model_id,
        clips=map(clip, recordings),
        enrollment_clips=map(file_bytes, enrollment_clips),
        uncertain_below=uncertain_below,
        adapt=adapt,
    )


def train_request(fields: Mapping[str, Any]) -> ser_pb2.TrainRequest:
    """The message of a training; values as JSON has them.

    Raises:
        ConfigError: If a field is unknown or of another type.
    """
    known = dict(fields)
    if isinstance(known.get("dataset_load_split_at"), int | float):
        known["dataset_load_split_at"] = f"{known['dataset_load_split_at']:g}"
    try:
        return json_format.ParseDict(known, ser_pb2.TrainRequest())
    except json_format.ParseError as error:
        raise ConfigError([FieldViolation("", f"expected the fields of a TrainRequest: {error}")]) from None


def one(answer: ser_pb2.PredictResponse, recording: Recording | None = None) -> ServerPrediction:
    """The answer about one recording, under its own name."""
    name = answer.sample_name
    if recording is not None:
        known_as = "" if isinstance(recording.audio, bytes) else Path(recording.audio).name
        name = recording.name or known_as or name
    return ServerPrediction(
        name,
        answer.prediction,
        dict(answer.probabilities),
        _pieces(answer.pieces),
        answer.ground_truth if answer.HasField("ground_truth") else None,
        tuple(answer.unknown),
        answer.speaker_clips,
        answer.familiarity if answer.HasField("familiarity") else None,
        model=_identity(answer.model),
    )


def many(answer: ser_pb2.PredictResponse) -> list[ServerPrediction]:
    """The answers about several recordings."""
    return [
        ServerPrediction(
            clip.name, clip.prediction, dict(clip.probabilities), _pieces(clip.pieces), None, tuple(clip.unknown),
            clip.speaker_clips, clip.familiarity if clip.HasField("familiarity") else None,
            model=_identity(answer.model),
        )
        for clip in answer.predictions
    ]  # fmt: skip


def enroll_request(
    speaker: str, clips: Iterable[AudioFile], model_id: str, model_save_path: str, *, replace: bool
) -> ser_pb2.EnrollSpeakerRequest:
    """The request that lets a model know a speaker."""
    return ser_pb2.EnrollSpeakerRequest(
        model_save_path=model_save_path,
        model_id=model_id,
        speaker=speaker,
        clips=map(file_bytes, clips),
        replace=replace,
    )


def speaker(known: ser_pb2.Speaker) -> KnownSpeaker:
    """A speaker in a line."""
    return KnownSpeaker(known.speaker, known.enrolled_clips, known.training_clips)


def train_result(answer: ser_pb2.TrainResponse) -> TrainResult:
    """The answer about a training."""
    return TrainResult(
        answer.model_id,
        tuple(answer.test_samples),
        dict(answer.metrics),
        tuple(answer.classes),
        answer.seconds,
        answer.job_id,
    )


def stream_config(model_id: str, fields: Mapping[str, Any]) -> ser_pb2.StreamPredictRequest:
    """The first message of a stream; enrollment clips are files or bytes."""
    clips = [file_bytes(audio) for audio in fields.get("enrollment_clips", ())]
    config = ser_pb2.StreamConfig(**{**fields, "model_id": model_id, "enrollment_clips": clips})
    return ser_pb2.StreamPredictRequest(config=config)


def _pieces(pieces: Iterable[ser_pb2.Piece]) -> tuple[Piece, ...]:
    return tuple(Piece(piece.start_seconds, piece.end_seconds, dict(piece.probabilities)) for piece in pieces)


def _identity(model: ser_pb2.ModelIdentity) -> ModelIdentity:
    return ModelIdentity(model.model_id, model.model_type, model.sha256, model.created.ToJsonString())
