"""Pitch by autocorrelation (Boersma, 1993): candidates from each frame, the best path through all of them.

The autocorrelation of a windowed frame is divided by the window's own, which takes away its fall towards long lags.
Its highest maxima are the frame's candidates, with "unvoiced" beside them; a Viterbi search weighs how strong a
candidate is against how far it leaps from the frame before.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ser.audio.recordings import SAMPLE_RATE_HZ, Samples

FLOOR_HZ, CEILING_HZ = 70.0, 650.0
"""The range that is searched: a low male voice to a shrill female one."""
WINDOW_SAMPLES = round(0.040 * SAMPLE_RATE_HZ)
"""40 ms: nearly three periods of the lowest pitch."""
_CANDIDATES = 6
_FFT = 1024  # at least window + longest lag, so that no lag wraps round
_SHORTEST, _LONGEST = int(SAMPLE_RATE_HZ / CEILING_HZ), int(SAMPLE_RATE_HZ / FLOOR_HZ) + 1
# Boersma's settings for speech; costs of leaps are his for frames of 10 ms.
_VOICING_THRESHOLD, _SILENCE_THRESHOLD = 0.45, 0.03
_OCTAVE_COST, _OCTAVE_JUMP_COST, _VOICING_CHANGE_COST = 0.01, 0.35, 0.14


@dataclass(frozen=True)
class Pitch:
    """The pitch of every frame."""

    hz: npt.NDArray[np.float32]
    """float32, shape (n_frames,); 0 where unvoiced."""
    strength: npt.NDArray[np.float32]
    """float32, shape (n_frames,), 0 to 1: height of the autocorrelation's highest maximum, voiced or not."""

    @property
    def voiced(self) -> npt.NDArray[np.bool_]:
        """bool, shape (n_frames,)."""
        return self.hz > 0


def track_pitch(samples: Samples, hop_samples: int, n_frames: int) -> Pitch:
    """Tracks the pitch of a recording.

    Args:
        samples: float32, shape (n,), at `SAMPLE_RATE_HZ`.
        hop_samples: From the middle of a frame to that of the next; the first frame's is at half a hop.
        n_frames: How many frames.
    """
    from scipy.fft import irfft, rfft  # not above, as in `describe`

    window, window_correlation = _window()
    # The frame of 40 ms lies around the middle of the hop.
    before = (WINDOW_SAMPLES - hop_samples) // 2
    padded = np.zeros(before + max(len(samples), n_frames * hop_samples) + WINDOW_SAMPLES, dtype=np.float32)
    padded[before : before + len(samples)] = samples
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[: n_frames * hop_samples : hop_samples]
    frames = frames - frames.mean(axis=1, keepdims=True)
    peaks = np.abs(frames).max(axis=1)
    spectra = rfft(frames * window, _FFT, axis=1)
    power = np.square(spectra.real) + np.square(spectra.imag)
    correlation = irfft(power, _FFT, axis=1)[:, : _LONGEST + 2]
    energy = np.maximum(correlation[:, :1], np.float32(1e-12))
    correlation = correlation / energy / window_correlation
    hz, strength = _candidates(correlation)
    loudness = peaks / max(float(peaks.max()), 1e-12)
    unvoiced = _VOICING_THRESHOLD + np.maximum(
        0, 2 - (loudness / _SILENCE_THRESHOLD) / (1 + _VOICING_THRESHOLD)
    ).astype(np.float32)
    path = _best_path(hz, strength, unvoiced)
    frame = np.arange(n_frames)
    voiced = path < _CANDIDATES
    chosen = np.where(voiced, path, 0)
    return Pitch(
        np.where(voiced, hz[frame, chosen], 0).astype(np.float32),
        np.clip(np.where(voiced, strength[frame, chosen], strength[:, 0]), 0, 1).astype(np.float32),
    )


def _candidates(correlation: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The highest maxima of each frame, highest first.

    Returns:
        Frequency in Hz (1 where there is no such maximum) and strength (-1 there), float32, shape
        (n_frames, _CANDIDATES).
    """
    left, middle, right = (correlation[:, _SHORTEST + side : _LONGEST + 1 + side] for side in (-1, 0, 1))
    frame, place = np.nonzero((middle > left) & (middle >= right) & (middle > 0))
    lags = np.arange(_SHORTEST, _LONGEST + 1)
    # A little against low pitch, else a period and two of them would weigh the same.
    cost = np.float32(_OCTAVE_COST) * np.log2(FLOOR_HZ * lags / SAMPLE_RATE_HZ).astype(np.float32)
    # One number sorts by frame first, then by height: divided by the window's, a correlation stays below 1.8 at any lag
    # searched (Fejér's bound), and the cost below 0.04. In float64, whose precision leaves float32 heights apart.
    order = np.argsort(4.0 * frame - (middle[frame, place] - cost[place]))
    frame, place = frame[order], place[order]
    rank = np.arange(len(frame)) - np.searchsorted(frame, frame)
    highest = rank < _CANDIDATES
    frame, place, rank = frame[highest], place[highest], rank[highest]
    y0, y1, y2 = (side[frame, place] for side in (left, middle, right))
    curvature = y0 - 2 * y1 + y2
    shift = np.clip(np.where(curvature < -1e-9, (y0 - y2) / (2 * np.minimum(curvature, -1e-9)), 0), -0.5, 0.5)
    hz = np.ones((len(correlation), _CANDIDATES), dtype=np.float32)
    strength = np.full_like(hz, -1)
    hz[frame, rank] = SAMPLE_RATE_HZ / (lags[place] + shift)
    strength[frame, rank] = np.minimum(y1 - (y0 - y2) * shift / 4, 1)
    return hz, strength


def _best_path(
    hz: npt.NDArray[np.float32], strength: npt.NDArray[np.float32], unvoiced: npt.NDArray[np.float32]
) -> npt.NDArray[np.int64]:
    """Viterbi: the number of each frame's candidate, `_CANDIDATES` for unvoiced; int64, shape (n_frames,)."""
    n_frames = len(hz)
    octaves = np.log2(hz)
    local = np.concatenate([strength - np.float32(_OCTAVE_COST) * (np.log2(FLOOR_HZ) - octaves), unvoiced[:, None]], 1)
    local[:, :_CANDIDATES][strength < 0] = -10
    leap = np.full((n_frames, _CANDIDATES + 1, _CANDIDATES + 1), _VOICING_CHANGE_COST, dtype=np.float32)
    leap[1:, :_CANDIDATES, :_CANDIDATES] = _OCTAVE_JUMP_COST * np.abs(octaves[1:, :, None] - octaves[:-1, None, :])
    leap[:, _CANDIDATES, _CANDIDATES] = 0
    came_from = np.zeros((n_frames, _CANDIDATES + 1), dtype=np.int64)
    score = local[0]
    states = np.arange(_CANDIDATES + 1)
    for number in range(1, n_frames):
        through = score - leap[number]
        came_from[number] = origin = through.argmax(axis=1)
        score = through[states, origin] + local[number]
    path = np.zeros(n_frames, dtype=np.int64)
    path[-1] = score.argmax()
    for number in range(n_frames - 1, 0, -1):
        path[number - 1] = came_from[number, path[number]]
    return path


@lru_cache(maxsize=1)
def _window() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The Hann window, and its normalised autocorrelation up to the longest lag."""
    window = np.hanning(WINDOW_SAMPLES + 2)[1:-1]
    correlation = np.correlate(window, window, "full")[WINDOW_SAMPLES - 1 : WINDOW_SAMPLES + _LONGEST + 1]
    return window.astype(np.float32), (correlation / correlation[0]).astype(np.float32)
