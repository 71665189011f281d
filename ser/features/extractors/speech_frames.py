"""Frames of speech: the sequence that networks over time read, mel spectrum beside prosody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from ser.acoustics import CHANNELS, HOP_SAMPLES, Descriptors, describe_all
from ser.acoustics.descriptors import N_CEPSTRAL, N_MELS
from ser.acoustics.views import derive
from ser.config import Config
from ser.features.extractors.base import EXTRACTORS, About, FeatureExtractor
from ser.speakers.statistics import Vector, statistics_of
from ser.storage.arrays import Expected

Array = npt.NDArray[np.float32]

STRIDE = 2
"""Every second frame of 10 ms is kept: neighbours tell little that is new, and half as many take half the time."""
N_BANDS = N_MELS // 2
"""Mel bands; the mean of two of `ser.acoustics` each."""
COLUMNS = (
    *(f"mel_{number}" for number in range(N_BANDS)),
    *CHANNELS[N_MELS + N_CEPSTRAL :],
    *("pitch_from_median", "voiced", "speech"),
)
"""Names of a frame's columns. `speech` is 1, and 0 in the frames behind the end, which repeat the last one."""


class SpeechFramesConfig(Config):
    """Nothing can be set: the models that read frames know their columns."""


@EXTRACTORS.register()
class SpeechFrames(FeatureExtractor[SpeechFramesConfig]):
    """A frame each 20 ms: 32 mel bands in dB, the spectrum's shape, energy, harmonicity, pitch, voicing.

    Silence at either end is left out. Features have shape (n_frames, len(COLUMNS)) with room for a whole piece.
    """

    Config = SpeechFramesConfig

    @classmethod
    def create(cls, config: SpeechFramesConfig, corpus: Sequence[About]) -> Self:  # noqa: ARG003 - nothing is fitted
        """See `FeatureExtractor.create`."""
        return cls(config, {})

    @classmethod
    def array_schema(cls, config: SpeechFramesConfig) -> Mapping[str, Expected]:  # noqa: ARG003 - nothing is fitted
        """See `FeatureExtractor.array_schema`."""
        return {}

    def shape(self, piece_samples: int) -> tuple[int, ...]:
        """See `FeatureExtractor.shape`."""
        return (max(1, -(-(piece_samples // HOP_SAMPLES) // STRIDE)), len(COLUMNS))

    def statistics(self, features: Array) -> tuple[Vector, Vector, Vector]:
        """See `FeatureExtractor.statistics`: of every derived channel, over all frames of speech."""
        return statistics_of([derive(features)[features[..., -1] > 0]])

    def extract(
        self,
        pieces: Array,
        about: Sequence[About],  # noqa: ARG002 - only sound counts
    ) -> Array:
        """See `FeatureExtractor.extract`."""
        rows = np.empty((len(pieces), *self.shape(pieces.shape[1])), dtype=np.float32)
        for row, described in zip(rows, describe_all(pieces), strict=True):
            frames = _frames(described)
            row[: len(frames)] = frames
            row[len(frames) :] = frames[-1]
            row[len(frames) :, -1] = 0
        return rows


def _frames(speech: Descriptors) -> Array:
    values = speech.values[::STRIDE]
    voiced = speech.voiced[::STRIDE]
    bands = values[:, :N_MELS].reshape(len(values), N_BANDS, 2).mean(axis=2)
    pitch = values[:, -1]
    median = np.median(pitch[voiced]) if voiced.any() else np.float32(0)
    columns = [bands, values[:, N_MELS + N_CEPSTRAL :], np.where(voiced, pitch - median, 0), voiced]
    return np.column_stack([*columns, np.ones(len(values), dtype=np.float32)]).astype(np.float32, copy=False)
