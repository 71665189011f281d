"""What the library does where nothing is said: a default that changes changes everybody's results."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import ser
from ser_client import AsyncClient, Client
from ser_pipelines.local import Runner, cross_validate_locally, run_locally
from ser_pipelines.submitting import schedule, submit

CONNECTING = {
    "target": "localhost:50051", "token": None, "tls": False, "tls_ca": None, "tls_cert": None, "tls_key": None,
    "timeout": 60.0,
}  # fmt: skip
ASKING = {"uncertain_below": 0.0, "enrollment_clips": (), "model_save_path": ""}
DEFAULTS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "Dataset": (ser.Dataset, {"limits": None, "access": None}),
    "load": (ser.Dataset.load, {"split_at": "min", "normalize": True, "force": False}),
    "feature_extract": (ser.Dataset.feature_extract, {"methods": None, "virtual_speakers": None, "force": False}),
    **{
        name: (getattr(ser.Dataset, name), {"force": False})
        for name in ("download", "extract", "prepare", "features_for", "get_features")
    },
    "features_of": (ser.Dataset.features_of, {"force": False, "check": None}),
    "Trainer": (ser.Trainer, {"model_config": None, "random_state": 42}),
    "train": (ser.Trainer.train, {"force": False}),
    "run": (ser.run, {"limits": None, "access": None}),
    "Predictor": (ser.Predictor, {"model_id": None, "refresh_seconds": 10.0}),
    "predict": (
        ser.Predictor.predict,
        {
            "sample_rate_hz": None,
            "about": None,
            "speaker": None,
            "enrollment_clips": (),
            "name": None,
            "threshold": 0.0,
            "max_seconds": 600.0,
        },
    ),
    "predict_sample": (ser.Predictor.predict_sample, {"threshold": 0.0}),
    "enroll": (ser.Predictor.enroll, {"replace": False, "max_seconds": 600.0}),
    "listen_to": (ser.Predictor.listen_to, {"max_seconds": 600.0}),
    "About": (ser.About, {"speaker": None, "gender": None, "text": None}),
    "Prediction": (ser.Prediction, {"ground_truth": None, "unknown": (), "speaker_clips": 0, "familiarity": None}),
    "run_locally": (run_locally, {"runner": Runner.SUBPROCESS, "minimum_uar": 0.0}),
    "cross_validate_locally": (cross_validate_locally, {"runner": Runner.SUBPROCESS}),
    "submit": (submit, {"minimum_uar": 0.0, "cluster": None, "wait_seconds": None}),
    "schedule": (schedule, {"minimum_uar": 0.0, "cluster": None}),
    **{client.__name__: (client, CONNECTING) for client in (Client, AsyncClient)},
    **{
        f"{client.__name__}.{name}": (getattr(client, name), defaults)
        for client in (Client, AsyncClient)
        for name, defaults in (
            ("predict", ASKING | {"name": None, "speaker": "", "gender": "", "text": ""}),
            ("predict_many", ASKING | {"adapt": False}),
            ("predict_sample", {"uncertain_below": 0.0, "model_save_path": ""}),
            ("enroll_speaker", {"replace": False, "model_save_path": ""}),
        )
    },
}
"""What is called to its parameters that may be left out, besides `report`."""


@pytest.mark.parametrize("name", DEFAULTS)
def test_what_is_not_said_is_as_it_was_promised(name: str) -> None:
    called, promised = DEFAULTS[name]
    parameters = inspect.signature(called).parameters.values()
    found = {one.name: one.default for one in parameters if one.default is not one.empty and one.name != "report"}
    assert found == promised
