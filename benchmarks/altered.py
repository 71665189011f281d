"""Recordings as they would be heard elsewhere: in noise, over a telephone, cut short. Nothing learns from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from scipy.signal import butter, firwin, oaconvolve, sosfilt

from ser.audio.recordings import SAMPLE_RATE_HZ, Samples

Alteration = Callable[[Samples, np.random.Generator], Samples]


def in_noise(decibels: float) -> Alteration:
    """White noise, whose power is so far below the recording's mean power."""

    def alter(samples: Samples, random: np.random.Generator) -> Samples:
        loudness = np.sqrt(np.square(samples).mean()) * 10 ** (-decibels / 20)
        return np.asarray(samples + loudness * random.standard_normal(len(samples)), dtype=np.float32)

    return alter


def over_telephone(samples: Samples, random: np.random.Generator) -> Samples:  # noqa: ARG001 - no chance in it
    """300 to 3,400 Hz."""
    band = butter(4, (300, 3_400), "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    return np.asarray(sosfilt(band, samples), dtype=np.float32)


def below_4_khz(samples: Samples, random: np.random.Generator) -> Samples:  # noqa: ARG001 - no chance in it
    """What a recording of 8,000 samples a second has."""
    return np.asarray(oaconvolve(samples, firwin(255, 3_900, fs=SAMPLE_RATE_HZ), mode="same"), dtype=np.float32)


def the_first(seconds: float) -> Alteration:
    """Nothing but its beginning: from the first frame that is within 40 dB of the loudest."""

    def alter(samples: Samples, random: np.random.Generator) -> Samples:  # noqa: ARG001 - no chance in it
        frames = samples[: len(samples) // 160 * 160].reshape(-1, 160) if len(samples) >= 160 else samples[np.newaxis]
        energy = np.square(frames).sum(axis=1)
        start = int(np.argmax(energy >= energy.max() * 1e-4)) * 160
        return samples[start : start + int(seconds * SAMPLE_RATE_HZ)]

    return alter


def between_silence(samples: Samples, random: np.random.Generator) -> Samples:  # noqa: ARG001 - no chance in it
    """A second of digital silence at both ends."""
    return np.pad(samples, SAMPLE_RATE_HZ)


ALTERATIONS: Mapping[str, Alteration] = MappingProxyType(
    {
        "white noise of 20 dB": in_noise(20),
        "white noise of 10 dB": in_noise(10),
        "white noise of 5 dB": in_noise(5),
        "below 4 kHz": below_4_khz,
        "telephone, 300 to 3,400 Hz": over_telephone,
        "first two seconds": the_first(2),
        "first second": the_first(1),
        "a second of silence at both ends": between_silence,
    }
)
"""What is measured."""
