"""Right requests of every kind, which the parsers of messages and of HTTP start from."""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Mapping
from typing import Any

import numpy as np

from ser_inference_server.grpc_server import SERVICE

CLIP = b"clip"
"""Stands for a recording in `EXAMPLES`; base64 of one in JSON, its bytes elsewhere."""
MODEL = "Model-0123456789ab"

_TRAIN: Mapping[str, Any] = {
    "data_path": "d", "remote_url": "embedded:?clips=70", "random_state": 7, "dataset_force": False,
    "dataset_load_split_at": "min", "dataset_load_normalize": True,
    "dataset_feature_extract_methods": {"MFCC": {"num_cepstral": 13, "low_frequency": 0.5}, "Functionals": {}},
    "model_type": "KerasClassifier", "model_save_path": "m", "model_config": {"epochs": 2, "lr": 0.001},
    "dataset_virtual_speakers": 0, "detach": True,
}  # fmt: skip
_ABOUT = {"speaker": "03", "gender": "male", "text": "a01"}
EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "TrainRequest": _TRAIN,
    "PredictRequest": {"model_save_path": "", "model_id": MODEL, "audio": CLIP, "uncertain_below": 0.5, **_ABOUT},
    "StreamPredictRequest": {"config": {"model_id": MODEL, "sample_rate_hz": 16_000, "hop_seconds": 0.5, **_ABOUT}},
    "GetTrainingJobRequest": {"job_id": "job-0123456789abcdef"},
    "ListTrainingJobsRequest": {"page_size": 10, "page_token": "3"},
    "CancelTrainingJobRequest": {"job_id": "job-0123456789abcdef"},
    "WatchTrainingJobRequest": {"job_id": "job-0123456789abcdef"},
    "ListModelsRequest": {"model_save_path": "m"},
    "GetModelRequest": {"model_save_path": "", "model_id": MODEL},
    "DeleteModelRequest": {"model_save_path": "m", "model_id": MODEL},
    "EnrollSpeakerRequest": {"model_id": MODEL, "speaker": "anna", "clips": [CLIP], "replace": True},
    "ListSpeakersRequest": {"model_id": MODEL, "page_size": 5, "page_token": "a"},
    "DeleteSpeakerRequest": {"model_id": MODEL, "speaker": "anna"},
    "GetReportRequest": {"model_id": MODEL},
}
"""A request by the name of its type."""
CLIPS = {"model_id": MODEL, "clips": [{"audio": CLIP, "name": "a", **_ABOUT}, {"audio": CLIP}], "enrollment_clips": []}
"""Another PredictRequest."""


def types() -> dict[str, Any]:
    """Every request type of the service, by name: its descriptor."""
    return {rpc.input_type.name: rpc.input_type for rpc in SERVICE.methods}


def examples(name: str) -> list[Mapping[str, Any]]:
    """Right requests of a type; an empty one of a type that is newer than this page."""
    return [EXAMPLES.get(name, {}), *([CLIPS] if name == "PredictRequest" else [])]


def filled(value: Any, clip: object) -> Any:
    """A request with something in place of `CLIP`."""
    match value:
        case bytes():
            return clip
        case dict():
            return {key: filled(item, clip) for key, item in value.items()}
        case list():
            return [filled(item, clip) for item in value]
        case _:
            return value


def as_json(value: Mapping[str, Any]) -> Any:
    """A request as decoded JSON has it."""
    return filled(value, base64.b64encode(recording()).decode())


def recording() -> bytes:
    """A WAV of a tenth of a second."""
    samples = 0.5 * np.sin(2 * np.pi * 220 / 16_000 * np.arange(1_600))
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((samples * 32_767).astype("<i2").tobytes())
    return buffer.getvalue()


def field_names() -> list[str]:
    """Names of fields of all requests, to be put where they do not belong."""
    return sorted({field.name for descriptor in types().values() for field in descriptor.fields})
