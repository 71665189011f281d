"""Between the API's messages and what the library speaks: one direction a function, no decisions."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from ser.bundles.bundle import Bundle
from ser.bundles.manifest import TFLITE, Manifest
from ser.errors import Code, ConfigError, FieldViolation
from ser.features import About
from ser.predictor import Piece, Prediction
from ser.speakers.enrolment import KnownSpeaker
from ser.storage.access import shown_address
from ser.streaming import Window
from ser_api.v1 import ser_pb2
from ser_inference_server.failures import STATUSES, JobFailedError
from ser_inference_server.jobs.store import Job
from ser_inference_server.roots import Roots
from ser_inference_server.settings import Settings


def train_fields(request: ser_pb2.TrainRequest) -> dict[str, Any]:
    """The fields that were set, under the names of `ser.request.TrainRequest`.

    Raises:
        ConfigError: If a number in a config is not finite.
    """
    fields: dict[str, Any] = {}
    for descriptor, value in request.ListFields():
        match descriptor.name:
            case "detach":
                continue
            case "dataset_feature_extract_methods":
                fields[descriptor.name] = {
                    name: _plain(config, f"{descriptor.name}.{name}") for name, config in value.items()
                }
            case "model_config":
                fields[descriptor.name] = _plain(value, descriptor.name)
            case name:
                fields[name] = value
    return fields


def train_request(fields: Mapping[str, Any]) -> ser_pb2.TrainRequest:
    """A request as it was understood, defaults filled in."""
    known = {**fields, "dataset_load_split_at": str(fields["dataset_load_split_at"])}
    return json_format.ParseDict(known, ser_pb2.TrainRequest())


def about(message: ser_pb2.PredictRequest | ser_pb2.Clip | ser_pb2.StreamConfig) -> About:
    """What is known of who speaks; an empty string is nothing known."""
    return About(message.speaker or None, message.gender or None, message.text or None)


def predict_response(prediction: Prediction, model: Bundle) -> ser_pb2.PredictResponse:
    """The answer about one recording."""
    return ser_pb2.PredictResponse(
        sample_name=prediction.sample_name,
        ground_truth=prediction.ground_truth,
        prediction=prediction.prediction,
        probabilities=prediction.probabilities,
        pieces=_pieces(prediction.pieces),
        unknown=prediction.unknown,
        model=identity(model),
        speaker_clips=prediction.speaker_clips,
        familiarity=prediction.familiarity,
    )


def predict_response_of_clips(predictions: Sequence[Prediction], model: Bundle) -> ser_pb2.PredictResponse:
    """The answer about several recordings."""
    return ser_pb2.PredictResponse(
        predictions=[
            ser_pb2.ClipPrediction(
                name=prediction.sample_name,
                prediction=prediction.prediction,
                probabilities=prediction.probabilities,
                pieces=_pieces(prediction.pieces),
                unknown=prediction.unknown,
                speaker_clips=prediction.speaker_clips,
                familiarity=prediction.familiarity,
            )
            for prediction in predictions
        ],
        model=identity(model),
    )


def stream_response(window: Window, model: Bundle | None) -> ser_pb2.StreamPredictResponse:
    """The answer about one window; with the model's identity in the first."""
    prediction = window.prediction
    return ser_pb2.StreamPredictResponse(
        start_seconds=window.start_seconds,
        end_seconds=window.end_seconds,
        prediction=prediction.prediction if prediction else "",
        probabilities=prediction.probabilities if prediction else {},
        silence=prediction is None,
        model=identity(model) if model else None,
        speaker_clips=prediction.speaker_clips if prediction else 0,
        familiarity=prediction.familiarity if prediction else None,
    )


def identity(bundle: Bundle) -> ser_pb2.ModelIdentity:
    """Says which model answered."""
    manifest = bundle.manifest
    return _identity(manifest.model_id, manifest.model_type, manifest.files[TFLITE], manifest.created)


@functools.lru_cache(maxsize=64)
def _identity(model_id: str, model_type: str, sha256: str, created: str) -> ser_pb2.ModelIdentity:
    """The same one each time: what it goes into copies it."""
    return ser_pb2.ModelIdentity(model_id=model_id, model_type=model_type, sha256=sha256, created=_moment(created))


def train_response(job: Job) -> ser_pb2.TrainResponse:
    """What a job made.

    Raises:
        JobFailedError: If it failed.
    """
    if job.error is not None:
        violations = [FieldViolation(one["field"], one["description"]) for one in job.error["violations"]]
        raise JobFailedError(Code[job.error["code"]], job.error["message"], violations)
    return ser_pb2.TrainResponse(**(job.result or {}), job_id=job.job_id)


def training_job(job: Job, settings: Settings, roots: Roots) -> ser_pb2.TrainingJob:
    """A job as it stands, as everybody may see it: without passwords, and without where the roots lie."""
    request = {
        **job.request,
        "remote_url": shown_address(job.request["remote_url"]),
        "data_path": roots.shown(settings.data_root, job.request["data_path"]),
        "model_save_path": roots.shown(settings.model_root, job.request["model_save_path"]),
    }
    return ser_pb2.TrainingJob(
        job_id=job.job_id,
        state=ser_pb2.TrainingJob.State.Value(job.state.value),
        progress=ser_pb2.TrainingProgress(**job.progress) if job.progress else None,
        result=train_response(job) if job.result else None,
        error=_job_error(job.error, roots) if job.error else None,
        request=train_request(request),
        created=_seconds(job.created),
        started=_seconds(job.started),
        ended=_seconds(job.ended),
        ahead=job.ahead,
    )


def model_summary(manifest: Manifest) -> ser_pb2.ModelSummary:
    """A model in a line."""
    return ser_pb2.ModelSummary(
        model_id=manifest.model_id,
        model_type=manifest.model_type,
        created=_moment(manifest.created),
        classes=manifest.classes,
        metrics=manifest.metrics,
        adapts=manifest.adapts,
    )


def model(bundle: Bundle) -> ser_pb2.Model:
    """All that a model says of itself."""
    manifest = bundle.manifest
    return ser_pb2.Model(
        model_id=manifest.model_id,
        model_type=manifest.model_type,
        created=_moment(manifest.created),
        classes=manifest.classes,
        metrics=manifest.metrics,
        adapts=manifest.adapts,
        validation_samples=manifest.validation_samples,
        manifest=json_format.ParseDict(manifest.model_dump(mode="json"), Struct()),
        has_report=bundle.report.is_dir(),
    )


def speaker(known: KnownSpeaker) -> ser_pb2.Speaker:
    """A speaker in a line."""
    return ser_pb2.Speaker(
        speaker=known.speaker, enrolled_clips=known.enrolled_clips, training_clips=known.training_clips
    )


def _pieces(pieces: Sequence[Piece]) -> list[ser_pb2.Piece]:
    return [
        ser_pb2.Piece(
            start_seconds=piece.start_seconds, end_seconds=piece.end_seconds, probabilities=piece.probabilities
        )
        for piece in pieces
    ]


def _job_error(error: Mapping[str, Any], roots: Roots) -> ser_pb2.JobError:
    code = STATUSES[Code[error["code"]]][0].value[0]
    violations = [
        ser_pb2.FieldViolation(field=one["field"], description=roots.without(one["description"]))
        for one in error["violations"]
    ]
    return ser_pb2.JobError(code=code, message=roots.without(error["message"]), violations=violations)


def _plain(struct: Struct, field: str) -> dict[str, Any]:
    try:
        return dict(json_format.MessageToDict(struct))
    except (ValueError, json_format.Error) as error:  # NaN and infinity, which a binary message can have
        raise ConfigError([FieldViolation(field, f"expected finite numbers: {error}")]) from None


def _moment(text: str) -> Timestamp:
    moment = Timestamp()
    moment.FromDatetime(datetime.datetime.fromisoformat(text))
    return moment


def _seconds(seconds: float | None) -> Timestamp | None:
    if seconds is None:
        return None
    moment = Timestamp()
    moment.FromMicroseconds(round(seconds * 1e6))
    return moment
