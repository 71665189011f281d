"""Signals that tests are made of."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import soundfile

CLIPS = 84
"""Recordings of the corpus that most tests share."""


def wav(
    samples: npt.NDArray[np.generic], rate_hz: int = 16_000, *, kind: str = "WAV", subtype: str = "PCM_16"
) -> bytes:
    """Encodes samples, float in [-1, 1], shape (n,) or (n, channels)."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format=kind, subtype=subtype)
    return buffer.getvalue()


def tone(seconds: float = 1.0, rate_hz: int = 16_000, hertz: float = 220.0) -> npt.NDArray[np.float64]:
    """A tone of half amplitude."""
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate_hz)) / rate_hz)
