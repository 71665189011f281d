"""What a training is asked for: the body of `/train`, the parameters of the pipeline, the flags of `ser train`.

Each step has its own part of the request as a config, under the names of the whole; `TrainRequest` is all of
them. So every front door gives the same error for the same mistake.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import Field, SerializeAsAny, ValidationInfo
from pydantic_core import PydanticCustomError

from ser.audio.recordings import MAX_SECONDS, SAMPLE_RATE_HZ
from ser.audio.virtual_speakers import MOST
from ser.config import Config, Flag, Whole, parse
from ser.errors import ConfigError, FieldViolation
from ser.evaluation.split import TRAITS, Protocol
from ser.experts.description import check_features
from ser.features import EXTRACTORS
from ser.models import MODEL_TYPES

DEFAULT_METHODS: Mapping[str, Mapping[str, Any]] = MappingProxyType({"SpeakerAndGenderAndTextType": {}, "MFCC": {}})
"""The feature extraction methods of a request that names none, with a model type that brings none."""
DEFAULT_MODEL_TYPE = "EncoderClassifier"
"""The model type where none is asked for and it is not mandatory: the best that is known (docs/accuracy.md)."""
MODEL_TYPE_VARIABLE = "SER_MODEL_TYPE"
"""Environment variable with another model type to take where none is asked for."""
DEMONSTRATIONS = frozenset({"KerasClassifier", "KerasDropoutClassifier"})
"""Model types that show how a training goes, and are not meant to be used for more."""
SHORTEST_PIECE = SAMPLE_RATE_HZ // 50
"""Least piece length in samples: 20 ms, one analysis frame."""
LONGEST_PIECE = int(MAX_SECONDS * SAMPLE_RATE_HZ)
"""Greatest piece length in samples."""

MOST_CLIPS = 10_000
"""Most enrollment clips that a protocol has a model hear."""


def default_model_type() -> str:
    """The model type where none is asked for: what the environment says, which nobody has checked, or the best."""
    return os.environ.get(MODEL_TYPE_VARIABLE) or DEFAULT_MODEL_TYPE


NonEmpty = Annotated[str, Field(min_length=1, strict=True)]
SplitAt = Literal["min", "max", "avg"] | int
EnrollmentOf = Literal["speaker", "corpus"]


class DownloadConfig(Config):
    """What the download step follows."""

    data_path: NonEmpty
    """Folder that the data is saved into."""
    remote_url: NonEmpty
    """Where the corpus resides, a zip, a folder or a corpora file: http(s)://, file://, a path, or `embedded:` for the
    synthetic corpus."""
    dataset_force: Flag = False
    """Redo every stage of the dataset though its result is there."""


class FeatureConfig(Config):
    """What the feature extraction step follows."""

    dataset_load_split_at: SplitAt = "min"
    """Length of the pieces that clips are cut into: the corpus's shortest, longest or average clip, or a
    number of samples."""
    dataset_load_normalize: Flag = True
    """Divide each clip by its peak amplitude. The peak is the clip's own, so nothing of the validation clips
    can leak."""
    dataset_feature_extract_methods: dict[str, SerializeAsAny[Config]] = Field(
        default_factory=lambda: dict(DEFAULT_METHODS)  # type: ignore[arg-type]  # the validator makes configs
    )
    """Registered name of each extractor to its config; sorted by name, whatever order they came in."""
    dataset_virtual_speakers: Annotated[Whole, Field(ge=0, le=MOST)] = 0
    """How many virtual speakers say each clip as well, for the training to learn from. From the fifth on, some are far
    away, and of some a second or two is heard: they are for models that hear clips whole."""

    @pydantic.field_validator("dataset_load_split_at", mode="before")
    @classmethod
    def _split_at(cls, value: object) -> object:
        if isinstance(value, str) and value.strip().lstrip("+-").isdigit():
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value in ("min", "max", "avg"):
            return value
        if isinstance(value, int) and not isinstance(value, bool) and SHORTEST_PIECE <= value <= LONGEST_PIECE:
            return value
        raise PydanticCustomError(
            "split_at",
            f"expected 'min', 'max', 'avg' or a number of samples from {SHORTEST_PIECE} to {LONGEST_PIECE}",
        )

    @pydantic.model_validator(mode="after")
    def _whole_clips(self) -> Self:
        for name in self.dataset_feature_extract_methods:
            if EXTRACTORS.get(name).whole_clips and self.dataset_load_split_at != "max":
                got = self.dataset_load_split_at
                why = f"{name} hears whole clips, at their own length; expected 'max', got {got!r}"
                raise ConfigError([FieldViolation("dataset_load_split_at", why)])
        return self

    @pydantic.field_validator("dataset_feature_extract_methods", mode="before")
    @classmethod
    def _methods(cls, value: object) -> object:
        field = "dataset_feature_extract_methods"
        known = ", ".join(EXTRACTORS.names())
        if not isinstance(value, Mapping) or not value:
            expected = f"expected an object from method to config, with at least one of: {known}"
            raise ConfigError([FieldViolation(field, f"{expected}; got {value!r}")])
        # Sorted: JSON objects and Protobuf's maps have no order, and the order of the columns must not be chance.
        return {
            str(name): parse(EXTRACTORS.get(name, field=field).Config, config, at=f"{field}.{name}")
            for name, config in sorted(value.items(), key=lambda item: str(item[0]))
        }


class TrainingConfig(Config):
    """What the training step follows."""

    random_state: Annotated[Whole, Field(ge=0, lt=2**32)] = 42
    """Seed of everything random: the split, the initial weights, the shuffling, the dropout."""
    model_type: str
    """Registered name of the model type."""
    hyperparameters: SerializeAsAny[Config] = Field(alias="model_config", default_factory=dict)  # type: ignore[assignment]
    """The model type's config. Its name in requests is `model_config`, which pydantic keeps for itself."""

    @pydantic.field_validator("model_type", mode="before")
    @classmethod
    def _model_type(cls, value: object) -> object:
        MODEL_TYPES.get(value, field="model_type")
        return value

    @pydantic.field_validator("hyperparameters", mode="before")
    @classmethod
    def _hyperparameters(cls, value: object, info: ValidationInfo) -> object:
        model_type = info.data.get("model_type")
        if model_type is None:  # missing, which is reported already
            return Config()
        return parse(MODEL_TYPES.get(model_type).Config, value, at="model_config")


class AcceptanceConfig(Config):
    """What a model has to reach."""

    minimum_uar: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    """Least UAR, on the held-out recordings, of a model that is saved."""


class PublishConfig(AcceptanceConfig):
    """Where a model goes that is good enough."""

    model_save_path: NonEmpty
    """Folder that the model's folder is saved into."""
    receipt: Annotated[str, Field(pattern="^[A-Za-z0-9-]{0,64}$")] = ""
    """Name of a note to leave beside the models, which says what became of this one; empty leaves none."""


class ModelRequest(FeatureConfig, TrainingConfig):
    """A model type and what it learns from, which must fit; what is left out is as the model type has it."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _front_end_of_model_type(cls, data: object) -> object:
        if not isinstance(data, Mapping) or data.get("model_type") not in MODEL_TYPES.names():
            return data
        return {**MODEL_TYPES.get(data["model_type"]).front_end, **data}

    @pydantic.model_validator(mode="after")
    def _has_what_is_read(self) -> Self:
        check_features(MODEL_TYPES.get(self.model_type).reads, self.dataset_feature_extract_methods)
        return self


class TrainRequest(DownloadConfig, ModelRequest):
    """A whole training: the body of `POST /train`."""

    model_save_path: NonEmpty
    """Folder that the model's folder is saved into."""


class CrossValidationConfig(TrainingConfig):
    """What the training of a fold follows."""

    protocol: Protocol = Protocol.LOSO
    """How the recordings are split."""
    folds: Annotated[Whole, Field(ge=2, le=100)] = 10
    """How many folds; of kfold only, where no file says it."""
    group: Annotated[str, Field(max_length=200, strict=True)] = ""
    """What keeps recordings in one fold of kfold: speaker, text, gender, corpus, or a column of the CSV `fold_file`.
    Empty deals single recordings."""
    fold_file: Annotated[str, Field(max_length=4096, strict=True)] = ""
    """Where the folds of kfold reside: a CSV with columns `file` and `fold`, or EmoBox's folder or zip
    (`ser.evaluation.fold_file`); a path or http(s)://. Empty deals them."""
    enrollment_clips: int | Literal["all"] = 0
    """Of a model that adapts to speakers: how many other recordings it hears before it judges one, without their
    labels. "all" has it hear every one of the test part, the judged one too."""
    enrollment_of: EnrollmentOf = "speaker"
    """Whose recordings those are: the speaker's, or anybody's of the same corpus, as where nobody knows who speaks."""

    @pydantic.field_validator("enrollment_clips", mode="before")
    @classmethod
    def _enrollment_clips(cls, value: object) -> object:
        if isinstance(value, str) and value.isdigit():
            value = int(value)
        if value == "all" or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_CLIPS):
            return value
        raise PydanticCustomError("enrollment_clips", f"expected a number from 0 to {MOST_CLIPS}, or 'all'")

    @pydantic.model_validator(mode="after")
    def _somebody_is_heard(self) -> Self:
        if self.enrollment_of != "speaker" and not self.enrollment_clips:
            why = f"expected enrollment_clips as well, of which there are none; got {self.enrollment_of!r}"
            raise ConfigError([FieldViolation("enrollment_of", why)])
        return self

    @pydantic.model_validator(mode="after")
    def _folds_are_of_kfold(self) -> Self:
        for field in ("group", "fold_file"):
            if (got := getattr(self, field)) and self.protocol is not Protocol.KFOLD:
                why = f"expected none with protocol {self.protocol}, whose folds are fixed: it is of kfold; got {got!r}"
                raise ConfigError([FieldViolation(field, why)])
        if self.group not in ("", *TRAITS) and not self.fold_file:
            known = f"expected one of {', '.join(TRAITS)}, or a column of fold_file, which is not given"
            raise ConfigError([FieldViolation("group", f"{known}; got {self.group!r}")])
        return self


class CrossValidationRequest(CrossValidationConfig, DownloadConfig, ModelRequest):
    """A whole cross-validation."""
