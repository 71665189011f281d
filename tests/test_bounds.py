"""Every bound of what is read from requests and files: the outermost values that are taken, and the next ones.

Those of the server's settings are in tests/inference_server/test_settings.py.
"""

from __future__ import annotations

import importlib
import pkgutil
import typing
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pydantic
import pytest

import ser
import ser_components
import ser_inference_server
import ser_pipelines

SHARE = ([0, 1], [-0.01, 1.01])
NAME = (["a", "a" * 1_024], ["", "a" * 1_025])
LABEL = (["a", "a" * 200], ["", "a" * 201])
TEXT = (["a"], [""])
QUANTITY = (["1", "0.5", "500m", "2Gi"], ["", "two", "1.", "-1", "1gi", "1 Gi"])
PENALTY = ([1e-9, 1_000], [0, 1_000.1])
DROPOUT = ([0, 0.999], [-0.001, 1])
EPOCHS = ([1, 100_000], [0, 100_001])
BOUNDS: dict[str, tuple[list[Any], list[Any]]] = {
    "ClusterSettings.feature_parts": ([1, 1_000], [0, 1_001]),
    "ClusterSettings.timeout_seconds": ([{"training": 1}], [{"training": 0}, {"serving": 1}]),
    "ClusterSettings.resources": (
        [{"training": {"cpu": "1", "memory": "1Gi"}}],
        [{"serving": {"cpu": "1", "memory": "1Gi"}}, {"training": {"cpu": "1"}}],
    ),
    "Gpu.count": ([1], [0]),
    **{f"Resources.{name}": QUANTITY for name in ("cpu", "memory", "cpu_limit", "memory_limit")},
    "Retries.count": ([0], [-1]),
    "Retries.factor": ([1], [0.99]),
    **{f"Retries.{name}": (["30s", "5m", "1h"], ["", "30", "s", "1d", "1.5s"]) for name in ("pause", "longest_pause")},
    "Toleration.operator": (["Equal", "Exists"], ["In"]),
    "Toleration.effect": (["NoExecute", "NoSchedule", "PreferNoSchedule"], ["Never"]),
    "Volume.mount_path": (["/data"], ["", "/", "data"]),
    "SpeechEncoderConfig.input": (["auto", "samples", "log_mel"], ["mfcc"]),
    "SpeechEncoderConfig.statistics": (
        [["mean"], ["mean", "deviation", "percentile_10", "percentile_50", "percentile_90"]],
        [[], ["median"], ["mean"] * 6],
    ),
    "SpeechEncoderConfig.outputs": (
        [[0], ["a"], ["a" * 200], list(range(100))],
        [[], [-1], [""], ["a" * 201], [0.5], [True], list(range(101))],
    ),
    "SpeechEncoderConfig.seconds": ([0.1, 300], [0.09, 300.1]),
    "Manifest.format": ([2, 3], [1, 4]),
    "Manifest.model_id": (["a", "K-1_2.3", "a" * 128], ["", ".a", "-a", "a/b", "a\n", "a" * 129]),
    "Manifest.model_type": NAME,
    "Manifest.random_state": ([0, 2**64 - 1], [-1, 2**64]),
    "Manifest.classes": ([["a", "b"], ["a" * 200, "b"]], [["", "b"], ["a" * 201, "b"], ["a"] * 1_001]),
    "Manifest.training_samples": ([0, 2**53 - 1], [-1, 2**53]),
    "Manifest.validation_samples": ([["a", "a" * 1_024]], [[""], ["a" * 1_025]]),
    "Manifest.metrics": ([{"uar": 0}, {"a" * 1_024: 1}], [{"uar": -0.01}, {"uar": 1.01}, {"": 0}, {"a" * 1_025: 1}]),
    "Manifest.history": ([{"loss": [0.5, -1e9]}], [{"": []}, {"a" * 1_025: []}, {"loss": [float("inf")]}]),
    "Manifest.seconds": ([0], [-0.01]),
    "Manifest.files": ([{"a": "0f" * 32}], [{"a": "0f" * 31}, {"a": "0F" * 32}, {"a": "0f" * 32 + "\n"}]),
    "_CorporaFile.corpora": ([], [[], [{"name": "a", "url": "u"}] * 101]),
    "_Corpus.name": (["a", "a" * 64], ["", "-a", "a.b", "a" * 65]),
    "_Corpus.url": TEXT,
    "_Corpus.labels": (
        [{"a": "b"}, {"a" * 200: "b" * 200}, {"a": None}],
        [{"": "b"}, {"a" * 201: "b"}, {"a": ""}, {"a": "b" * 201}],
    ),
    "MFCCConfig.num_cepstral": ([1, 128], [0, 129]),
    **{f"MFCCConfig.{name}": ([1e-3, 1], [0, 1.01]) for name in ("frame_length", "frame_stride")},
    "MFCCConfig.num_filters": ([1, 256], [0, 257]),
    "MFCCConfig.fft_length": ([16, 16_384], [15, 16_385]),
    "MFCCConfig.low_frequency": ([0, 7_999], [-1, 8_000]),
    "MFCCConfig.high_frequency": ([1, 8_000, None], [0, 8_001]),
    "FrontEndSettings.piece_samples": ([1, 600 * 16_000], [0, 600 * 16_000 + 1]),
    "FrontEndSettings.methods": ([{"MFCC": {}}], [{}]),
    "EnsembleClassifierConfig.penalty": PENALTY,
    "EnsembleClassifierConfig.components": ([2, 256], [1, 257]),
    "EnsembleClassifierConfig.dimensions": ([2, 44], [1, 45]),
    "EnsembleClassifierConfig.weights": (["float32", "int8"], ["float16"]),
    "EncoderClassifierConfig.penalty": PENALTY,
    "SingleExpertConfig.penalty": PENALTY,
    "SingleExpertConfig.weights": (["float32", "int8"], ["float16"]),
    "KerasDropoutClassifierConfig.epochs": EPOCHS,
    "KerasDropoutClassifierConfig.dropout": DROPOUT,
    "TemporalNetworkClassifierConfig.units": ([4, 512], [3, 513]),
    "TemporalNetworkClassifierConfig.dropout": DROPOUT,
    "TrainingParameters.lr": ([1e-9, 10], [0, 10.1]),
    "TrainingParameters.epochs": EPOCHS,
    "TrainingParameters.batch_size": ([1, 1_000_000], [0, 1_000_001]),
    "CrossValidationConfig.protocol": (["holdout", "kfold", "loso", "loto", "lolo", "loco"], ["looo"]),
    "CrossValidationConfig.folds": ([2, 100], [1, 101]),
    "CrossValidationConfig.group": (["", "speaker", "x" * 200], [3, "x" * 201]),
    "CrossValidationConfig.fold_file": (["", "folds.csv", "x" * 4096], [3, "x" * 4097]),
    "CrossValidationConfig.enrollment_clips": ([0, 1_000, "all"], ["some"]),
    "CrossValidationConfig.enrollment_of": (["speaker", "corpus"], ["", "gender"]),
    **{f"DownloadConfig.{name}": TEXT for name in ("data_path", "remote_url")},
    "FeatureConfig.dataset_load_split_at": (["min", "max", "avg", 1], ["mean"]),
    "FeatureConfig.dataset_virtual_speakers": ([0, 10], [-1, 11]),
    **{f"{config}.model_save_path": TEXT for config in ("PublishConfig", "TrainRequest")},
    "AcceptanceConfig.minimum_uar": SHARE,
    "PublishConfig.receipt": (["", "a" * 64, "0-z"], ["a" * 65, "a/b", "a.b", "a\n"]),
    "TrainingConfig.random_state": ([0, 2**32 - 1], [-1, 2**32]),
    "StreamConfig.sample_rate_hz": ([4_000, 192_000], [3_999, 192_001]),
    "StreamConfig.window_seconds": ([0.1, 60], [0.09, 60.1]),
    "StreamConfig.hop_seconds": ([0.05, 60], [0.04, 60.1]),
    **{f"StreamConfig.{name}": SHARE for name in ("silence_peak", "uncertain_below")},
}
"""Class and field to what is taken and what is refused, as far as the field alone says it."""
LIMITS = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "ge", "gt", "le", "lt", "const", "enum"),
    *("pattern", "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
)


def modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def models(of: type[pydantic.BaseModel]) -> Iterator[type[pydantic.BaseModel]]:
    for model in of.__subclasses__():
        yield model
        yield from models(model)


def adapters() -> dict[str, pydantic.TypeAdapter[Any]]:
    """Class and field to what checks a value; of fields that classes declare themselves."""
    packages = (ser, ser_components, ser_pipelines, ser_inference_server)
    names = {module.__name__ for package in packages for module in modules(package)} - {"ser_inference_server.settings"}
    found: dict[str, pydantic.TypeAdapter[Any]] = {}
    for model in models(pydantic.BaseModel):
        for name in model.__annotations__ if model.__module__ in names else ():
            if name in model.model_fields:
                field = model.model_fields[name]
                kind = typing.Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
                config = pydantic.ConfigDict(allow_inf_nan=model.model_config.get("allow_inf_nan", True))
                is_model = isinstance(field.annotation, type) and issubclass(field.annotation, pydantic.BaseModel)
                found[f"{model.__name__}.{name}"] = pydantic.TypeAdapter(kind, config=None if is_model else config)
    return found


ADAPTERS = adapters()


def limited(schema: Any) -> bool:
    """Whether values of a JSON schema have limits; those of models within it are told of by themselves."""
    if isinstance(schema, list):
        return any(limited(one) for one in schema)
    if not isinstance(schema, dict):
        return False
    return any(key in LIMITS or (key not in ("$defs", "properties") and limited(part)) for key, part in schema.items())


def test_every_bound_is_in_the_table() -> None:
    assert {name for name, adapter in ADAPTERS.items() if limited(adapter.json_schema())} <= BOUNDS.keys()
    assert BOUNDS.keys() <= ADAPTERS.keys()


@pytest.mark.parametrize("name", BOUNDS)
def test_the_outermost_values_are_taken_and_the_next_ones_refused(name: str) -> None:
    taken, refused = BOUNDS[name]
    for value in taken:
        ADAPTERS[name].validate_python(value)
    for value in refused:
        with pytest.raises(pydantic.ValidationError):
            ADAPTERS[name].validate_python(value)
