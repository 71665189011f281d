"""Functionals: what the frames of a whole utterance do, as one vector of statistics (Schuller et al., 2013)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Self

import numpy as np
import numpy.typing as npt

from ser.acoustics import CHANNELS, HOP_SAMPLES, Descriptors, delta, describe_all
from ser.acoustics.descriptors import N_CEPSTRAL, N_MELS
from ser.audio.recordings import SAMPLE_RATE_HZ
from ser.config import Config
from ser.features.extractors.base import EXTRACTORS, About, FeatureExtractor
from ser.features.percentiles import percentiles
from ser.storage.arrays import Expected

Array = npt.NDArray[np.float32]
Runs = npt.NDArray[np.int64]

PERCENTILES = (2, 10, 25, 50, 75, 90, 98)
MODULATION_HZ = (0.5, 1, 2, 3, 4, 6, 8, 12, 20, 32)
"""Edges of the ranges of the modulation spectrum: phrases, stress, syllables, phones, tremor."""
MODULATION_BANDS = 16
"""Groups of neighbouring mel bands whose modulation is measured."""
PAUSE_DB, SYLLABLE_DB = -30, -25
"""Below the loudest frame: quieter is a pause; a local maximum above is a syllable's nucleus (Mermelstein, 1975)."""

_FRAMES_A_SECOND = SAMPLE_RATE_HZ / HOP_SAMPLES
_MODULATION_FFT = 256
_SHORTEST_SLOPE = 5
_MEL = slice(0, N_MELS)
_MFCC = slice(N_MELS, N_MELS + N_CEPSTRAL)
_SHAPE = slice(N_MELS + N_CEPSTRAL, len(CHANNELS) - 1)
_PITCH = CHANNELS.index("pitch")
_ENERGY = CHANNELS.index("energy")
_VOICED_CEPSTRAL = 13


class FunctionalsConfig(Config):
    """Nothing can be set: the statistics and what they are of belong together."""


@EXTRACTORS.register()
class Functionals(FeatureExtractor[FunctionalsConfig]):
    """Statistics of `ser.acoustics.CHANNELS` over an utterance, silence at its ends left out.

    Of every second mel band, the MFCC with first and second slopes, and the spectrum's shape with its slope; then, of
    voiced frames alone, of pitch, MFCC and shape: mean, deviation, skewness, kurtosis, linear trend, seven
    percentiles, two ranges between them, mean absolute change. Then durations and rates of voicing, pauses, syllables
    and pitch movements, and the modulation spectrum of 16 bands.
    """

    Config = FunctionalsConfig

    @classmethod
    def create(cls, config: FunctionalsConfig, corpus: Sequence[About]) -> Self:  # noqa: ARG003 - nothing is fitted
        """See `FeatureExtractor.create`."""
        return cls(config, {})

    @classmethod
    def array_schema(cls, config: FunctionalsConfig) -> Mapping[str, Expected]:  # noqa: ARG003 - nothing is fitted
        """See `FeatureExtractor.array_schema`."""
        return {}

    def shape(self, piece_samples: int) -> tuple[int, ...]:  # noqa: ARG002 - statistics do not grow with time
        """See `FeatureExtractor.shape`."""
        return (_number(),)

    def extract(
        self,
        pieces: Array,
        about: Sequence[About],  # noqa: ARG002 - only sound counts
    ) -> Array:
        """See `FeatureExtractor.extract`."""
        return np.stack([functionals(described) for described in describe_all(pieces)])


def functionals(speech: Descriptors) -> Array:
    """All statistics of an utterance: float32, shape (n,), finite."""
    values, voiced = speech.values, speech.voiced
    mfcc, shape = values[:, _MFCC], values[:, _SHAPE]
    slope = delta(mfcc)
    everywhere = np.concatenate([values[:, _MEL][:, ::2], mfcc, slope, delta(slope), shape, delta(shape)], axis=1)
    pitch = values[:, _PITCH : _PITCH + 1]
    where_voiced = np.concatenate([pitch, mfcc[:, :_VOICED_CEPSTRAL], shape], axis=1)[voiced]
    parts = [_statistics(everywhere), _statistics(where_voiced), _rhythm(speech), _modulation(values[:, _MEL])]
    return np.concatenate(parts).astype(np.float32)


@lru_cache(maxsize=1)
def _number() -> int:
    still = Descriptors(np.zeros((2, len(CHANNELS)), dtype=np.float32), np.zeros(2, dtype=bool))
    return len(functionals(still))


def _statistics(channels: Array) -> Array:
    """Fifteen a channel, of float32, shape (n_frames, n); zeros of no frames."""
    if len(channels) < 2:
        none = np.zeros((2, channels.shape[1]), dtype=np.float32)
        channels = np.repeat(channels, 2, axis=0) if len(channels) else none
    mean = channels.mean(axis=0)
    centred = channels - mean
    squares = np.square(centred)
    variance = squares.mean(axis=0)
    deviation = np.sqrt(variance)
    floor = np.maximum(deviation, 1e-6)
    skewness = (squares * centred).mean(axis=0) / floor**3
    kurtosis = np.square(squares).mean(axis=0) / floor**4
    time = np.linspace(-1, 1, len(channels), dtype=np.float32)
    trend = time @ centred / (time @ time)
    p = percentiles(channels, PERCENTILES)
    change = np.abs(np.diff(channels, axis=0)).mean(axis=0)
    return np.concatenate([mean, deviation, skewness, kurtosis, trend, *p, p[6] - p[0], p[4] - p[2], change])


def _runs(mask: npt.NDArray[np.bool_]) -> tuple[Runs, Runs]:
    """Where stretches of true begin, and where they end."""
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
    return edges[::2], edges[1::2]


def _rhythm(speech: Descriptors) -> Array:
    """Durations in seconds, rates a second, pitch movements in octaves a second."""
    values, voiced = speech.values, speech.voiced
    seconds = len(values) / _FRAMES_A_SECOND
    energy = values[:, _ENERGY]
    pause = energy < energy.max() + PAUSE_DB
    bell = np.hanning(9)[1:-1]
    smooth = np.convolve(energy, bell / bell.sum(), "same")
    rising, falling = smooth[1:-1] > smooth[:-2], smooth[1:-1] >= smooth[2:]
    syllables = int((rising & falling & (smooth[1:-1] > energy.max() + SYLLABLE_DB)).sum())
    speaking = max(seconds * (1 - float(pause.mean())), 0.1)
    movements = _pitch_movements(values[:, _PITCH], voiced)
    return np.array(
        [
            *(np.log(seconds), voiced.mean(), pause.mean()),
            *(figure for mask in (voiced, ~voiced, pause) for figure in _lengths(mask, seconds)),
            *(syllables / seconds, syllables / speaking),
            *(movements.mean(), movements.std(), np.abs(movements).mean()),
            *(movements.max(), movements.min(), (movements > 0).mean()),
        ],
        dtype=np.float32,
    )


def _lengths(mask: npt.NDArray[np.bool_], seconds: float) -> list[float]:
    """Mean, deviation and longest of the stretches in seconds, and how many come a second."""
    starts, ends = _runs(mask)
    if not len(starts):
        return [0.0, 0.0, 0.0, 0.0]
    lengths = (ends - starts) / _FRAMES_A_SECOND
    return [float(lengths.mean()), float(lengths.std()), float(lengths.max()), len(lengths) / seconds]


def _pitch_movements(pitch: Array, voiced: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """The pitch's slope over each voiced stretch of 50 ms or more, in octaves a second; a zero if there is none."""
    slopes = []
    for start, end in zip(*_runs(voiced), strict=True):
        if end - start >= _SHORTEST_SLOPE:
            time = np.arange(end - start) - (end - start - 1) / 2
            slopes.append(float(time @ pitch[start:end] / (time @ time)) * _FRAMES_A_SECOND)
    return np.array(slopes or [0.0])


def _modulation(mel: Array) -> Array:
    """Logarithm of the power of slow changes of loudness, of each range in each band: shape (9 * 16,)."""
    from scipy.fft import rfft

    bands = mel.reshape(len(mel), MODULATION_BANDS, -1).mean(axis=2)
    bands = bands - bands.mean(axis=0)
    size = max(_MODULATION_FFT, 1 << (len(bands) - 1).bit_length())
    window = np.hanning(len(bands) + 2)[1:-1, None].astype(np.float32)
    spectrum = rfft(bands * window, size, axis=0)
    power = (np.square(spectrum.real) + np.square(spectrum.imag)) / len(bands)
    hz = np.arange(len(power)) * _FRAMES_A_SECOND / size
    ranges = [power[(hz >= low) & (hz < high)].mean(axis=0) for low, high in itertools.pairwise(MODULATION_HZ)]
    return np.log(np.concatenate(ranges) + np.float32(1e-3))
