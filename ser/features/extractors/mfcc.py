"""Mel-frequency cepstral coefficients, equal to librosa's and several times as fast.

librosa makes the bases when the extractor is created; extracting is one FFT and two matrix products over
arrays that travel with the model. `tests/ser/features/extractors/test_mfcc.py` holds the two equal.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
import pydantic
from pydantic import Field

from ser.audio.recordings import SAMPLE_RATE_HZ
from ser.config import Config, Flag, Real, Whole
from ser.errors import ConfigError, FieldViolation
from ser.features.extractors.base import EXTRACTORS, About, FeatureExtractor
from ser.storage.arrays import Expected

POWER_FLOOR = np.float32(1e-10)
"""Least power of a mel band before the logarithm, as `librosa.power_to_db(amin=1e-10)`."""
DYNAMIC_RANGE_DB = np.float32(80.0)
"""Bands further than this below a piece's loudest are raised to it, as `librosa.power_to_db(top_db=80)`."""
_BLOCK_FRAMES = 1024
"""Frames transformed at once: enough that threads seldom meet at the interpreter's lock, few enough that the spectra
stay in the cache."""


class MFCCConfig(Config):
    """Settings of the analysis."""

    num_cepstral: Annotated[Whole, Field(ge=1, le=128)] = 13
    """Coefficients kept, from the zeroth; at most `num_filters`."""
    frame_length: Annotated[Real, Field(gt=0, le=1)] = 0.020
    """Length of the Hann window in seconds."""
    frame_stride: Annotated[Real, Field(gt=0, le=1)] = 0.01
    """Hop between frames in seconds."""
    num_filters: Annotated[Whole, Field(ge=1, le=256)] = 40
    """Mel bands (Slaney's scale and normalisation)."""
    fft_length: Annotated[Whole, Field(ge=16, le=16_384)] = 512
    """Points of the FFT; at least a frame."""
    low_frequency: Annotated[Real, Field(ge=0, lt=SAMPLE_RATE_HZ / 2)] = 0.0
    """Lower edge of the lowest band in Hz."""
    high_frequency: Annotated[Real, Field(gt=0, le=SAMPLE_RATE_HZ / 2)] | None = None
    """Upper edge of the highest band in Hz; by default half the sampling rate."""
    dc_elimination: Flag = True
    """Put the logarithm of the frame's energy in place of the zeroth coefficient."""

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.num_cepstral > self.num_filters:
            raise ValueError(f"expected num_cepstral of at most num_filters = {self.num_filters}")
        if self.window_samples > self.fft_length:
            raise ValueError(f"expected fft_length of at least a frame, which has {self.window_samples} samples")
        if min(self.window_samples, self.hop_samples) < 1:
            raise ValueError("expected frame_length and frame_stride of at least one sample, 1/16000 s")
        if self.low_frequency >= self.top_hz:
            raise ValueError(f"expected low_frequency below high_frequency = {self.top_hz:g}")
        return self

    @property
    def window_samples(self) -> int:
        """Length of the window in samples."""
        return round(self.frame_length * SAMPLE_RATE_HZ)

    @property
    def hop_samples(self) -> int:
        """Hop between frames in samples."""
        return round(self.frame_stride * SAMPLE_RATE_HZ)

    @property
    def top_hz(self) -> float:
        """Upper edge of the highest band in Hz."""
        return SAMPLE_RATE_HZ / 2 if self.high_frequency is None else self.high_frequency


@EXTRACTORS.register()
class MFCC(FeatureExtractor[MFCCConfig]):
    """Frames of cepstral coefficients (Davis and Mermelstein, 1980; DCT-II, orthonormal).

    Features have shape (n_frames, num_cepstral) with n_frames = 1 + piece_samples // hop: frames are centred,
    the piece is padded by zeros. Coefficients are of decibels; the log energy of `dc_elimination` is the
    natural logarithm of the mean of the frame's power spectrum, floored at `POWER_FLOOR`.
    """

    Config = MFCCConfig

    @classmethod
    def create(cls, config: MFCCConfig, corpus: Sequence[About]) -> Self:  # noqa: ARG003 - nothing is fitted
        """See `FeatureExtractor.create`."""
        # Not above: to check a config, as every step does, neither is needed.
        from librosa.filters import get_window, mel
        from scipy.fft import dct as transform

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Empty filters")  # an error, below
            filterbank = mel(
                sr=SAMPLE_RATE_HZ,
                n_fft=config.fft_length,
                n_mels=config.num_filters,
                fmin=config.low_frequency,
                fmax=config.top_hz,
            )
        if not filterbank.any(axis=1).all():
            raise ConfigError(
                [
                    FieldViolation(
                        "num_filters",
                        f"{config.num_filters} bands are too narrow for fft_length = {config.fft_length}: "
                        "some hold no frequency; expected fewer bands or a longer FFT",
                    )
                ]
            )
        dct = transform(np.eye(config.num_filters), axis=0, type=2, norm="ortho")[: config.num_cepstral]
        return cls(
            config,
            {
                "window": get_window("hann", config.window_samples).astype(np.float32),
                # Transposed, for frames to multiply from the left, and each row twice: the squared real and
                # imaginary parts go in as they lie in memory, and the product adds them.
                "filterbank": np.repeat(filterbank.T, 2, axis=0).astype(np.float32),
                "dct": np.ascontiguousarray(dct.T, dtype=np.float32),
            },
        )

    @classmethod
    def array_schema(cls, config: MFCCConfig) -> Mapping[str, Expected]:
        """See `FeatureExtractor.array_schema`."""
        return {
            "window": Expected("float32", (config.window_samples,)),
            "filterbank": Expected("float32", (2 * (config.fft_length // 2 + 1), config.num_filters)),
            "dct": Expected("float32", (config.num_filters, config.num_cepstral)),
        }

    def shape(self, piece_samples: int) -> tuple[int, ...]:
        """See `FeatureExtractor.shape`."""
        return (1 + piece_samples // self.config.hop_samples, self.config.num_cepstral)

    def extract(
        self,
        pieces: npt.NDArray[np.float32],
        about: Sequence[About],  # noqa: ARG002 - only sound counts
    ) -> npt.NDArray[np.float32]:
        """See `FeatureExtractor.extract`."""
        n_pieces, piece_samples = pieces.shape
        n_frames, num_cepstral = self.shape(piece_samples)
        bands, energy = self._bands(pieces)
        np.maximum(bands, POWER_FLOOR, out=bands)
        np.log10(bands, out=bands)
        bands *= np.float32(10.0)
        by_piece = bands.reshape(n_pieces, -1)
        np.maximum(by_piece, by_piece.max(axis=1, keepdims=True) - DYNAMIC_RANGE_DB, out=by_piece)
        cepstrum: npt.NDArray[np.float32] = bands @ self.arrays["dct"]
        if self.config.dc_elimination:
            cepstrum[:, 0] = np.log(np.maximum(energy, POWER_FLOOR))
        return cepstrum.reshape(n_pieces, n_frames, num_cepstral)

    def _bands(self, pieces: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Power in each mel band, and the mean power, of every frame.

        librosa pads the window to the FFT's length in the middle. Only the samples under the window are taken
        here; where in the FFT's input they lie changes the phase, which the power does not have.

        Returns:
            float32, shapes (n_pieces * n_frames, num_filters) and (n_pieces * n_frames,).
        """
        from scipy.fft import rfft

        config = self.config
        n_pieces, piece_samples = pieces.shape
        n_frames, _ = self.shape(piece_samples)
        window, filterbank = self.arrays["window"], self.arrays["filterbank"]
        before = config.fft_length // 2 - (config.fft_length - config.window_samples) // 2
        length = max(before + piece_samples, (n_frames - 1) * config.hop_samples + config.window_samples)
        padded = np.zeros((n_pieces, length), dtype=np.float32)
        padded[:, before : before + piece_samples] = pieces
        frames = np.lib.stride_tricks.sliding_window_view(padded, config.window_samples, axis=1)
        frames = frames[:, : n_frames * config.hop_samples : config.hop_samples]
        # A frame past the last sample that is not zero has no power. A clip's last piece is padded: of short
        # pieces' frames, that is one in five.
        ends = np.array([before + _sounding_samples(piece) for piece in pieces])
        piece, frame = np.nonzero(np.arange(n_frames) * config.hop_samples < ends[:, None])
        bands = np.zeros((n_pieces, n_frames, config.num_filters), dtype=np.float32)
        energy = np.zeros((n_pieces, n_frames), dtype=np.float32)
        mean = np.full(len(filterbank), 2 / len(filterbank), dtype=np.float32)
        windowed = np.zeros((_BLOCK_FRAMES, config.fft_length), dtype=np.float32)
        for start in range(0, len(piece), _BLOCK_FRAMES):
            block = piece[start : start + _BLOCK_FRAMES], frame[start : start + _BLOCK_FRAMES]
            windowed = windowed[: len(block[0])]
            np.multiply(frames[block], window, out=windowed[:, : config.window_samples])
            parts = rfft(windowed).view(np.float32)
            squares = np.square(parts, out=parts)  # real and imaginary part in turns
            power = np.zeros((len(windowed), config.num_filters), dtype=np.float32)
            for bins, filters in self._octaves:
                power[:, filters] += squares[:, bins] @ filterbank[bins, filters]
            bands[block] = power
            if config.dc_elimination:
                energy[block] = squares @ mean
        return bands.reshape(-1, config.num_filters), energy.reshape(-1)

    @cached_property
    def _octaves(self) -> list[tuple[slice, slice]]:
        """The filterbank's parts that are not zero, as slices of its rows and columns: an octave each.

        A mel filter reaches over few frequencies; the products of the parts take half as long as one of all.
        """
        filterbank = self.arrays["filterbank"]
        edges = [0, *(len(filterbank) >> halvings for halvings in (3, 2, 1)), len(filterbank)]
        octaves = []
        for low, high in itertools.pairwise(edges):
            reached = np.flatnonzero(filterbank[low:high].any(axis=0))
            if reached.size:
                octaves.append((slice(low, high), slice(int(reached[0]), int(reached[-1]) + 1)))
        return octaves


def _sounding_samples(piece: npt.NDArray[np.float32]) -> int:
    """Length of a piece without the zeros at its end."""
    if piece[-1] != 0:
        return len(piece)
    sounding = np.flatnonzero(piece)
    return int(sounding[-1]) + 1 if sounding.size else 0
