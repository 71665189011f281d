"""What a pretrained encoder hears in a recording: its frames, pooled over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Literal, Self, get_args

import numpy as np
import numpy.typing as npt
import pydantic
from pydantic import Field

from ser.audio.recordings import Samples
from ser.config import Config, Flag, Real, Whole
from ser.encoders import EncoderRecord, encoder_record, load_encoder
from ser.encoders.catalogue import DEFAULT, CatalogueRecord, OnnxRecord
from ser.encoders.onnx_encoder import MOST_CHANNELS, Hearing, load_onnx
from ser.encoders.sources import named_encoder
from ser.errors import ConfigError, DamagedError, FieldViolation
from ser.features.extractors.base import EXTRACTORS, About, Arrays, FeatureExtractor
from ser.features.percentiles import percentiles
from ser.storage.arrays import Expected

Array = npt.NDArray[np.float32]
Statistic = Literal["mean", "deviation", "percentile_10", "percentile_50", "percentile_90"]
Name = Annotated[str, Field(min_length=1, max_length=200)]

STATISTICS: tuple[Statistic, ...] = get_args(Statistic)
"""What may be kept of each channel, over the frames of a piece."""
_PERCENTILE = "percentile_"


class SpeechEncoderConfig(Config):
    """Which encoder hears, and what is kept of it. Settings from `input` on are of ONNX files only."""

    weights: str = DEFAULT
    """Name of an encoder, which `ser encoder list` has; or an ONNX file that was fetched, by its path or its address,
    hf://owner/name/file.onnx, in the place of which its name is kept then."""
    statistics: Annotated[tuple[Statistic, ...], Field(min_length=1, max_length=len(STATISTICS))] = STATISTICS
    """What is kept of each channel."""
    input: Literal["auto", "samples", "log_mel"] = "auto"
    """What the graph takes: samples, or Whisper's spectrum; by default what the shape of its input shows."""
    outputs: Annotated[tuple[Name | Annotated[Whole, Field(ge=0)], ...], Field(min_length=1, max_length=100)] = (0,)
    """What is read of the graph: numbers of its outputs from 0, or names of any values in it; side by side."""
    unit_variance: Flag = False
    """Whether samples are brought to a mean of zero and a variance of one, as many models want it."""
    seconds: Annotated[Real, Field(ge=0.1, le=300)] = 30.0
    """The longest stretch that it hears at once."""
    filled: Flag = False
    """Whether stretches are filled with silence to that length, as Whisper's exports want it."""

    @pydantic.field_validator("weights")
    @classmethod
    def _known(cls, value: str) -> str:
        return named_encoder(value, field="weights").name

    @pydantic.field_validator("statistics", "outputs")
    @classmethod
    def _once(cls, value: tuple[object, ...]) -> tuple[object, ...]:
        if len(set(value)) != len(value):
            raise ValueError("expected each once")
        return value

    @pydantic.model_validator(mode="after")
    def _of_its_encoder(self) -> Self:
        if isinstance(self.record, CatalogueRecord):
            defaults = SpeechEncoderConfig.model_fields
            for name in Hearing.__dataclass_fields__:
                if getattr(self, name) != defaults[name].default:
                    raise ConfigError([FieldViolation(name, f"is of ONNX files; {self.weights} is read in one way")])
        return self

    @property
    def record(self) -> EncoderRecord:
        """What is known of the encoder."""
        return encoder_record(self.weights)

    @property
    def hearing(self) -> Hearing:
        """How an ONNX file hears."""
        return Hearing(self.outputs, self.input, self.unit_variance, self.seconds, self.filled)


@EXTRACTORS.register()
class SpeechEncoder(FeatureExtractor[SpeechEncoderConfig]):
    """Mean, deviation and three percentiles of each channel of a pretrained encoder, over the frames of a clip.

    Silence at either end is left out. The encoder stays where it is (`ser.encoders`); what travels with a model is its
    identity.
    """

    Config = SpeechEncoderConfig
    whole_clips = True

    def __init__(self, config: SpeechEncoderConfig, arrays: Arrays) -> None:
        """See `FeatureExtractor`.

        Raises:
            DamagedError: If the model was trained behind another version of the encoder.
        """
        super().__init__(config, arrays)
        self.record = config.record
        found = str(arrays["encoder"])
        if found != self.record.identity:
            raise DamagedError(
                f"expected the encoder {self.record.identity}, this model was trained behind {found[:100]}"
            )
        self._channels = self.record.channels if isinstance(self.record, CatalogueRecord) else int(arrays["channels"])
        if not 0 < self._channels <= MOST_CHANNELS:
            raise DamagedError(f"expected 1 to {MOST_CHANNELS} channels of an encoder, got {self._channels}")

    @classmethod
    def create(cls, config: SpeechEncoderConfig, corpus: Sequence[About]) -> Self:  # noqa: ARG003 - nothing is fitted
        """See `FeatureExtractor.create`.

        Raises:
            MissingEncoderError: If an ONNX file, of which nothing but its name is known, is not on this machine.
            MissingExtraError: If it is one, and ONNX Runtime is not installed.
            EncoderError: If it gives no frames.
        """
        arrays: dict[str, npt.NDArray[np.generic]] = {"encoder": np.array(config.record.identity)}
        if isinstance(config.record, OnnxRecord):
            arrays["channels"] = np.array(load_onnx(config.record, config.hearing).channels(), dtype=np.int64)
        return cls(config, arrays)

    @classmethod
    def encoders(cls, config: SpeechEncoderConfig) -> tuple[EncoderRecord, ...]:
        """See `FeatureExtractor.encoders`."""
        return (config.record,)

    @classmethod
    def array_schema(cls, config: SpeechEncoderConfig) -> Mapping[str, Expected]:
        """See `FeatureExtractor.array_schema`."""
        identity = {"encoder": Expected("str", ())}
        return identity | ({"channels": Expected("int64", ())} if isinstance(config.record, OnnxRecord) else {})

    @cached_property
    def _encoder(self) -> Callable[[Samples], Array]:
        if isinstance(self.record, OnnxRecord):
            return load_onnx(self.record, self.config.hearing)
        return load_encoder(self.record)

    def shape(self, piece_samples: int) -> tuple[int, ...]:  # noqa: ARG002 - statistics do not grow with time
        """See `FeatureExtractor.shape`."""
        return (len(self.config.statistics) * self._channels,)

    def extract(
        self,
        pieces: Array,
        about: Sequence[About],  # noqa: ARG002 - only sound counts
    ) -> Array:
        """See `FeatureExtractor.extract`.

        Raises:
            MissingEncoderError: If the encoder is not on this machine.
            DamagedError: If it is altered, or frames are of another width than when the model was trained.
        """
        rows = np.empty((len(pieces), *self.shape(pieces.shape[1])), dtype=np.float32)
        for row, piece in zip(rows, pieces, strict=True):
            frames = self._encoder(piece)
            if frames.shape[1] != self._channels:
                raise DamagedError(f"expected frames of {self._channels} channels, the encoder gives {frames.shape[1]}")
            row[:] = pool(frames, self.config.statistics)
        return rows


def pool(frames: Array, statistics: Sequence[Statistic] = STATISTICS) -> Array:
    """The statistics of frames.

    Args:
        frames: float32, shape (n_frames, n_channels), n_frames > 0.
        statistics: Which, of `STATISTICS`.

    Returns:
        float32, shape (len(statistics) * n_channels,): the first statistic of all channels, then the second's.
    """
    found = {"mean": frames.mean(axis=0), "deviation": frames.std(axis=0)}
    asked = [one for one in statistics if one.startswith(_PERCENTILE)]
    wanted = [int(one.removeprefix(_PERCENTILE)) for one in asked]
    found |= dict(zip(asked, percentiles(frames, wanted), strict=True))
    return np.concatenate([found[one] for one in statistics])
