"""Movements to samples: glottal pulses and noise through a vocal tract.

A source-filter synthesiser (Fant, 1960) in the frequency domain: each glottal pulse is a row of a matrix of
spectra, the tract of its moment is multiplied in, and one inverse FFT turns all rows into grains that are
added where the pulses lie. A clip takes a few operations on matrices in place of a loop over samples.

    pulse   the LF model by its Rd parameter (Fant, 1995), as filters: a resonance that runs backwards in time
            and a low-pass (Doval, d'Alessandro and Henrich, 2003)
    tract   digital resonators in cascade (Klatt, 1980)
    noise   white, through the tract for breath, through a resonator of its own for fricatives
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ser.synthesis.prosody import Delivery
from ser.synthesis.utterance import FRAME_SECONDS, Floats, Movements

SAMPLE_RATE_HZ = 16_000
"""EmoDB's sampling rate."""

Samples = npt.NDArray[np.float32]
Spectra = npt.NDArray[np.complex64]

# Strengths of the noises next to a voice of strength 1.
_BREATH = 0.007
_ASPIRATION = 0.08
_FRICATION = 0.35
_FAINTEST_PULSE = 0.003

_BANDWIDTHS_HZ = (70.0, 100.0, 150.0)
# A tract of 17.5 cm has one resonance a kHz; above the third they hardly move.
_HIGH_FORMANTS_HZ = np.array([3500.0, 4500.0, 5500.0, 6500.0, 7500.0])
_HIGH_BANDWIDTH_HZ = 250.0

_HOP = round(FRAME_SECONDS * SAMPLE_RATE_HZ)
_GRAIN = 512  # 32 ms, in which a formant of 70 Hz bandwidth dies away by 60 dB
_ONSET = 160  # a pulse opens up to 10 ms before it closes, which is the moment it is placed by
_PLACES = 16  # pulses lie on sixteenths of a sample: rounded to whole ones they would sound rough

_BINS = np.arange(_GRAIN // 2 + 1)
_DELAYS = np.exp(-2j * np.pi / _GRAIN * np.outer(np.arange(3), _BINS))
_SHIFTS = np.exp(-2j * np.pi / _GRAIN * np.outer(_ONSET + np.arange(_PLACES) / _PLACES, _BINS))
_SHIFTS = _SHIFTS.astype(np.complex64)
_DIFFERENCE = np.array([[1.0, -1.0]])
_WINDOW = np.hanning(2 * _HOP + 1)[:-1].astype(np.float32)  # two in a row sum to one
_FADES = np.ones(_GRAIN, dtype=np.float32)
_FADES[:32], _FADES[-64:] = np.hanning(64)[:32], np.hanning(128)[64:]


def speak(movements: Movements, delivery: Delivery, rng: np.random.Generator) -> Samples:
    """Sounds the movements of an utterance.

    Args:
        movements: What the speech organs do, in `n_frames` frames.
        delivery: Voice quality, breathiness, roughness and length of the tract.
        rng: Draws the noise and the irregularity of the pulses.

    Returns:
        float32, shape (n_frames * 80,): mono at `SAMPLE_RATE_HZ`, the voice with a mean square of about 1.
    """
    tract = _tract(movements.formants_hz, delivery.tract_scale)
    signal = np.zeros(_ONSET + len(tract) * _HOP + _GRAIN, dtype=np.float32)
    for start, grain in _pulses(movements, delivery, tract, rng):
        signal[start : start + _GRAIN] += grain
    # A tense pulse is stronger than a lax one; the strengths of noise are relative to what comes out.
    signal *= np.sqrt(np.sum(np.square(movements.voicing)) * _HOP / np.sum(np.square(signal)))
    breath = _BREATH * 10.0 ** (delivery.breath_db / 20.0)
    for start, grain in enumerate(_noise(movements, breath, tract, rng)):
        signal[start * _HOP :][_ONSET - _HOP : _ONSET - _HOP + _GRAIN] += grain
    return signal[_ONSET:-_GRAIN]


def _pulses(
    movements: Movements, delivery: Delivery, tract: Spectra, rng: np.random.Generator
) -> Iterator[tuple[int, Samples]]:
    """The glottal pulses behind the tract: first sample, counted from `_ONSET` before the first frame; grain."""
    cycles = np.cumsum(movements.pitch_hz) * FRAME_SECONDS
    last = len(cycles) - 1
    moments = np.interp(np.arange(1.0, cycles[-1]), cycles, np.arange(last + 1.0))  # in frames
    periods = 1.0 / (movements.pitch_hz[moments.astype(int)] * FRAME_SECONDS)
    moments = np.clip(moments + periods * rng.normal(0.0, delivery.jitter, len(moments)), 0.0, last)
    strengths = np.maximum(rng.normal(1.0, delivery.shimmer, len(moments)), 0.1)
    strengths *= np.interp(moments, np.arange(last + 1.0), movements.voicing)
    heard = strengths > _FAINTEST_PULSE
    moments, strengths = moments[heard], strengths[heard]

    frames = moments.astype(int)
    starts, places = np.divmod(np.rint(moments * _HOP * _PLACES).astype(int), _PLACES)
    spectra = _glottal(movements.pitch_hz[frames], delivery.rd)
    spectra *= tract[frames]
    spectra *= _SHIFTS[places]
    grains = np.fft.irfft(spectra, n=_GRAIN) * _FADES
    grains *= strengths[:, np.newaxis].astype(np.float32)
    yield from zip(starts.tolist(), grains, strict=True)


def _noise(movements: Movements, breath: float, tract: Spectra, rng: np.random.Generator) -> Samples:
    """Noise of breath and constrictions: float32, shape (n_frames, _GRAIN), one grain every `_HOP` samples."""
    aspiration = _ASPIRATION * movements.aspiration + breath * movements.voicing
    shape = aspiration[:, np.newaxis].astype(np.float32) * tract
    hissing = np.flatnonzero(movements.frication)
    centres_hz, which = np.unique(movements.frication_hz[hissing], return_inverse=True)
    constriction = _response(_DIFFERENCE) / _response(_resonator(centres_hz, 0.4 * centres_hz))
    constriction /= np.sqrt(np.mean(np.square(np.abs(constriction)), axis=1, keepdims=True))
    frication = _FRICATION * movements.frication[hissing]
    shape[hissing] += frication[:, np.newaxis].astype(np.float32) * constriction[which]

    white = rng.standard_normal((len(tract) + 1) * _HOP, dtype=np.float32)
    pieces = np.lib.stride_tricks.sliding_window_view(white, 2 * _HOP)[::_HOP] * _WINDOW
    grains: Samples = np.fft.irfft(np.fft.rfft(pieces, n=_GRAIN) * shape, n=_GRAIN).astype(np.float32, copy=False)
    return grains


def _glottal(pitch_hz: Floats, rd: float) -> Spectra:
    """Spectra of the derivative of the glottal flow: complex64, shape (n_pulses, n_bins)."""
    # Fant (1995): return phase, asymmetry and rise of the LF pulse, relative to its period.
    ra = (-1.0 + 4.8 * rd) / 100.0
    rk = (22.4 + 11.8 * rd) / 100.0
    rg = rk / (4.0 * (0.11 * rd / (0.5 + 1.2 * rk) - ra))
    open_quotient = (1.0 + rk) / (2.0 * rg)
    bandwidth = 1.0 / (open_quotient * abs(np.tan(np.pi / (1.0 + rk))))
    opening = _response(_resonator(pitch_hz / (2.0 * open_quotient), bandwidth * pitch_hz))
    # The return phase is a low-pass of first order with its cut-off at pitch / (2 pi ra).
    pole = np.exp(-pitch_hz / (ra * SAMPLE_RATE_HZ))
    closing = _response(_at_rest(np.stack([np.ones_like(pole), -pole], axis=1)))
    # The flow opens as a growing oscillation: a resonance backwards in time, whose spectrum is conjugate.
    spectra: Spectra = np.divide(_response(_DIFFERENCE), np.conj(opening) * closing)
    return spectra


def _tract(formants_hz: Floats, scale: float) -> Spectra:
    """Spectra of the vocal tract, 1 at 0 Hz: complex64, shape (n_frames, n_bins)."""
    high_hz = _HIGH_FORMANTS_HZ[_HIGH_FORMANTS_HZ * scale < SAMPLE_RATE_HZ / 2] * scale
    denominator: Spectra = np.multiply.reduce(_response(_at_rest(_resonator(high_hz, _HIGH_BANDWIDTH_HZ))))
    for formant_hz, bandwidth_hz in zip(formants_hz.T, _BANDWIDTHS_HZ, strict=True):
        denominator = denominator * _response(_at_rest(_resonator(formant_hz, bandwidth_hz)))
    return np.reciprocal(denominator)


def _resonator(centre_hz: Floats, bandwidth_hz: Floats | float) -> Floats:
    """Denominators of digital resonators (Klatt, 1980): float64, shape (n, 3)."""
    radius = np.exp(-np.pi / SAMPLE_RATE_HZ * np.broadcast_to(bandwidth_hz, centre_hz.shape))
    first = -2.0 * radius * np.cos(2.0 * np.pi / SAMPLE_RATE_HZ * centre_hz)
    return np.stack([np.ones_like(first), first, np.square(radius)], axis=1)


def _at_rest(coefficients: Floats) -> Floats:
    """Filters scaled to 1 at 0 Hz: as `coefficients`, float64, shape (n, order + 1)."""
    scaled: Floats = coefficients / coefficients.sum(axis=1, keepdims=True)
    return scaled


def _response(coefficients: Floats) -> Spectra:
    """Spectra of filters with `coefficients` float64, shape (n, order + 1): complex64, shape (n, n_bins)."""
    # In float64: near the unit circle digits cancel. Not by BLAS: its threads cost twice what they save.
    parts = np.einsum("nk,kb->nb", coefficients, _DELAYS[: coefficients.shape[1]].view(np.float64))
    spectra: Spectra = parts.view(np.complex128).astype(np.complex64)
    return spectra
