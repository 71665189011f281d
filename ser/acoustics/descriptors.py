"""Low-level descriptors: what a frame of 25 ms sounds like, every 10 ms, of the part of a recording that is speech.

Mel spectrum, cepstrum, the shape of the spectrum, energy, harmonicity and pitch, in the field's usual definitions
(Eyben et al., 2016; Peeters, 2004). All channels are one array, so that statistics of them are one call.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ser.acoustics.pitch import track_pitch
from ser.audio.recordings import SAMPLE_RATE_HZ, Samples

Array = npt.NDArray[np.float32]

HOP_SAMPLES = SAMPLE_RATE_HZ // 100
FRAME_SAMPLES = SAMPLE_RATE_HZ // 40
SILENCE_DB = -40.0
"""Frames at either end that are further than this below the loudest are no speech."""
N_MELS = 64
N_CEPSTRAL = 20
_FFT = 512
_LOW_HZ, _HIGH_HZ = 50.0, 7800.0
_FLOOR = np.float32(1e-10)
_ROLL_OFFS = (0.25, 0.5, 0.75, 0.9)
_BANDS_HZ = ((50, 1000, 5000), (50, 500, 1000), (1000, 2000, 4000))
"""Two neighbouring bands each: from, border, to. The first is close to eGeMAPS's alpha ratio."""

SHAPE = (
    "centroid", *(f"roll_off_{share:.0%}" for share in _ROLL_OFFS), "flux",
    *(f"slope_{low}_{border}_{high}" for low, border, high in _BANDS_HZ), "energy", "zero_crossings", "flatness",
)  # fmt: skip
CHANNELS = (
    *(f"mel_{number}" for number in range(N_MELS)),
    *(f"mfcc_{number}" for number in range(N_CEPSTRAL)),
    *SHAPE, "harmonicity", "pitch",
)  # fmt: skip
"""Names of the columns of `Descriptors.values`."""


@dataclass(frozen=True)
class Descriptors:
    """The frames of a recording's speech."""

    values: Array
    """float32, shape (n_frames, len(CHANNELS)), n_frames > 0. Mel bands and energy are in dB, frequencies in Hz, pitch
    in octaves above 1 Hz (log2), 0 where unvoiced; harmonicity in dB."""
    voiced: npt.NDArray[np.bool_]
    """bool, shape (n_frames,)."""


_LAST = threading.local()


def describe_all(pieces: Array) -> Sequence[Descriptors]:
    """Describes pieces; asked again for the same array, by another extractor of the same front-end, it remembers.

    Args:
        pieces: float32, shape (n_pieces, piece_samples), at `SAMPLE_RATE_HZ`.
    """
    pieces_before, described = getattr(_LAST, "described", (lambda: None, ()))
    if pieces_before() is not pieces:
        described = [describe(piece) for piece in pieces]
        _LAST.described = (weakref.ref(pieces), described)
    return described


def describe(samples: Samples) -> Descriptors:
    """Describes a recording.

    Args:
        samples: float32, shape (n,), n > 0, at `SAMPLE_RATE_HZ`; zeros at the ends are cut off with the silence.
    """
    # Not above: to check a request, as every step does, SciPy is not needed.
    from scipy.fft import dct, rfft

    samples = _trim(samples)
    n_frames = max(1, len(samples) // HOP_SAMPLES)
    before = (FRAME_SAMPLES - HOP_SAMPLES) // 2
    padded = np.zeros(before + max(len(samples), n_frames * HOP_SAMPLES) + FRAME_SAMPLES, dtype=np.float32)
    padded[before : before + len(samples)] = samples
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME_SAMPLES)[: n_frames * HOP_SAMPLES : HOP_SAMPLES]
    bases = _bases()
    spectra = rfft(frames * bases.window, _FFT, axis=1)
    power = np.square(spectra.real) + np.square(spectra.imag)
    mel = np.float32(10) * np.log10(np.maximum(power @ bases.filterbank, _FLOOR))
    mel = np.maximum(mel, mel.max() - np.float32(80))
    cepstrum = dct(mel, axis=1, norm="ortho")[:, :N_CEPSTRAL]
    pitch = track_pitch(samples, HOP_SAMPLES, n_frames)
    strength = np.clip(pitch.strength, 1e-3, 1 - 1e-3)
    harmonicity = np.float32(10) * np.log10(strength / (1 - strength))
    columns = [mel, cepstrum, _shape(frames, power, mel, bases), harmonicity, np.log2(np.maximum(pitch.hz, 1))]
    return Descriptors(np.column_stack(columns).astype(np.float32, copy=False), pitch.voiced)


def delta(channels: Array) -> Array:
    """How channels change: the slope of the line through five frames, a frame (Furui, 1986).

    Args:
        channels: float32, shape (n_frames, n).

    Returns:
        float32, shape (n_frames, n).
    """
    padded = np.pad(channels, ((2, 2), (0, 0)), mode="edge")
    far, near = padded[4:] - padded[:-4], padded[3:-1] - padded[1:-3]
    return far * np.float32(0.2) + near * np.float32(0.1)


def _trim(samples: Samples) -> Samples:
    """Without the silence at either end; whole hops are cut."""
    n_hops = max(1, len(samples) // HOP_SAMPLES)
    hops = samples[: n_hops * HOP_SAMPLES].reshape(n_hops, -1)
    energy = np.einsum("ij,ij->i", hops, hops)
    loud = np.flatnonzero(energy >= energy.max() * np.float32(10 ** (SILENCE_DB / 10)))
    return samples[loud[0] * HOP_SAMPLES : (loud[-1] + 1) * HOP_SAMPLES]


def _shape(frames: Array, power: Array, mel: Array, bases: _Bases) -> Array:
    """The channels named by `SHAPE`: float32, shape (n_frames, len(SHAPE))."""
    total = np.maximum(power.sum(axis=1, keepdims=True), _FLOOR)
    share = power / total
    cumulated = np.cumsum(share, axis=1)
    roll_offs = [bases.hz[np.minimum((cumulated < part).sum(axis=1), len(bases.hz) - 1)] for part in _ROLL_OFFS]
    magnitude = np.sqrt(share)
    flux = np.zeros(len(power), dtype=np.float32)
    flux[1:] = np.sqrt(np.square(np.diff(magnitude, axis=0)).sum(axis=1))
    in_bands = np.float32(10) * np.log10(np.maximum(power @ bases.bands, _FLOOR))
    slopes = [in_bands[:, 2 * number + 1] - in_bands[:, 2 * number] for number in range(len(_BANDS_HZ))]
    flatness = mel.mean(axis=1) - np.float32(10) * np.log10(np.maximum((10 ** (mel / 10)).mean(axis=1), _FLOOR))
    signs = np.signbit(frames)
    crossings = (signs[:, 1:] != signs[:, :-1]).mean(axis=1)
    energy = np.float32(10) * np.log10(total[:, 0])
    return np.stack([share @ bases.hz, *roll_offs, flux, *slopes, energy, crossings, flatness], axis=1)


@dataclass(frozen=True)
class _Bases:
    window: Array
    """shape (FRAME_SAMPLES,)"""
    filterbank: Array
    """shape (n_bins, N_MELS)"""
    hz: Array
    """shape (n_bins,)"""
    bands: Array
    """shape (n_bins, 2 * len(_BANDS_HZ))"""


@lru_cache(maxsize=1)
def _bases() -> _Bases:
    hz = np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE_HZ)
    edges = _mel_to_hz(np.linspace(_hz_to_mel(_LOW_HZ), _hz_to_mel(_HIGH_HZ), N_MELS + 2))
    rising = (hz[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - hz[:, None]) / np.diff(edges)[1:]
    filterbank = np.maximum(0, np.minimum(rising, falling))
    empty = ~filterbank.any(axis=0)  # narrower than a bin: the bin that is nearest
    filterbank[np.abs(hz[:, None] - edges[1:-1]).argmin(axis=0)[empty], np.flatnonzero(empty)] = 1
    filterbank = filterbank / filterbank.sum(axis=0)
    bands = np.stack(
        [
            (hz >= low) & (hz < high)
            for first, border, last in _BANDS_HZ
            for low, high in ((first, border), (border, last))
        ],
        axis=1,
    )
    window = np.hamming(FRAME_SAMPLES)
    return _Bases(*(part.astype(np.float32) for part in (window, filterbank, hz, bands)))


def _hz_to_mel(hz: float) -> float:
    return 2595 * float(np.log10(1 + hz / 700))


def _mel_to_hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return 700 * (10 ** (mel / 2595) - 1)
