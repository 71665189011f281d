"""Virtual speakers: what a clip would be, said by another voice, elsewhere. For training only.

A clip that is played slower has a longer vocal tract, a lower pitch and less haste, like another speaker's (Jaitly and
Hinton, 2013, warp the vocal tract alone; Ko et al., 2015, the speed). A tilt of the spectrum and some noise stand for
another microphone. Some of them are heard from afar: in a room that decays exponentially (Polack, 1988), by a
microphone with bands of its own, in louder noise. Of some, a second or two is heard.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import soxr

from ser.audio.recordings import SAMPLE_RATE_HZ, Samples


@dataclass(frozen=True)
class VirtualSpeaker:
    """How a virtual speaker is made of whoever says a clip."""

    speed: float
    """How fast the clip is played."""
    far: bool = False
    """Whether it is heard in a room, with noise."""
    short: bool = False
    """Whether only a part of it is heard."""


VIRTUAL_SPEAKERS = (
    VirtualSpeaker(0.90),
    VirtualSpeaker(1.10),
    VirtualSpeaker(0.94),
    VirtualSpeaker(1.06),
    VirtualSpeaker(1.04, far=True),
    VirtualSpeaker(1.00, short=True),
    VirtualSpeaker(0.92, far=True, short=True),
    VirtualSpeaker(0.96, far=True),
    VirtualSpeaker(1.00, short=True),
    VirtualSpeaker(1.08, far=True, short=True),
)
"""In the order in which they are learnt from."""
MOST = len(VIRTUAL_SPEAKERS)
"""How many virtual speakers there are."""
_TILT = 0.3
_NOISE_DB = (-65.0, -45.0)
_SHORT_SECONDS = (0.7, 2.2)
_REVERBERATION_SECONDS = (0.1, 0.6)
"""Until an echo is 60 dB below its beginning."""
_ECHO_DB = (-15.0, 2.0)
"""Energy of all echoes beside what comes directly."""
_BANDS_HZ = np.geomspace(60, SAMPLE_RATE_HZ / 2, 8)
_BAND_DB = (-8.0, 8.0)
_NARROW = 0.3
"""How often the microphone takes a part of the spectrum only, as a telephone does."""
_NARROW_HZ = ((60, 300), (3_300, 4_500))
_FAR_NOISE_DB = (-45.0, -15.0)


def virtual_speaker(samples: Samples, number: int, name: str) -> Samples:
    """A clip by a virtual speaker: the same on every machine, whatever else is computed.

    Args:
        samples: float32, shape (n,), n > 0, at `SAMPLE_RATE_HZ`.
        number: Which of `VIRTUAL_SPEAKERS`.
        name: The clip's name, which seeds all that is random.

    Returns:
        float32, shape (m,), with a peak of 1: m is about n by speed; 0.7 to 2.2 seconds, where that is less, of one of
        whom a part is heard.
    """
    speaker = VIRTUAL_SPEAKERS[number]
    digest = hashlib.sha256(f"{number}/{name}".encode()).digest()
    random = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    voice: Samples = soxr.resample(samples, SAMPLE_RATE_HZ * speaker.speed, SAMPLE_RATE_HZ)
    if speaker.far:
        voice = _in_room(voice, random)
    else:
        voice[1:] += np.float32(random.uniform(-_TILT, _TILT)) * voice[:-1]
        voice /= _peak(voice)
        loudness = np.float32(_by_db(random.uniform(*_NOISE_DB)))
        voice += loudness * random.standard_normal(len(voice), dtype=np.float32)
    if speaker.short:
        voice = _a_part(voice, random)
    voice /= _peak(voice)
    return voice


def _in_room(voice: Samples, random: np.random.Generator) -> Samples:
    """A voice with echoes and noise, as a microphone takes them."""
    from scipy.fft import irfft, next_fast_len, rfft  # requests are checked where there is no SciPy

    decay = int(random.uniform(*_REVERBERATION_SECONDS) * SAMPLE_RATE_HZ)
    echoes = random.standard_normal(decay, dtype=np.float32) * _by_db(-60 * np.arange(decay) / decay)
    echoes *= _by_db(random.uniform(*_ECHO_DB)) / np.sqrt(np.square(echoes).sum())
    echoes[0] += 1
    length = next_fast_len(len(voice) + decay, real=True)
    frequencies = np.arange(length // 2 + 1) * (SAMPLE_RATE_HZ / length)
    bands = random.uniform(*_BAND_DB, len(_BANDS_HZ))
    gain = _by_db(np.interp(np.log(np.maximum(frequencies, 1)), np.log(_BANDS_HZ), bands))
    if random.random() < _NARROW:
        low, high = (random.uniform(*edge) for edge in _NARROW_HZ)
        gain = gain / (1 + (low / np.maximum(frequencies, 1)) ** 8) / (1 + (frequencies / high) ** 24)
    heard = irfft(rfft(voice, length) * rfft(echoes, length) * gain, length)[: len(voice) + decay // 3]
    colour = random.uniform(0, 1)  # of the noise: from white to as much power in each octave
    noise = irfft(rfft(random.standard_normal(length)) / np.maximum(frequencies, 20) ** (colour / 2), length)
    noise = noise[: len(heard)]
    loudness = _by_db(random.uniform(*_FAR_NOISE_DB)) * np.sqrt(np.square(heard).mean() / np.square(noise).mean())
    return np.asarray(heard + loudness * noise, dtype=np.float32)


def _a_part(voice: Samples, random: np.random.Generator) -> Samples:
    """A second or two, about a place that is the likelier, the louder it is: never of the silence alone."""
    length = min(int(random.uniform(*_SHORT_SECONDS) * SAMPLE_RATE_HZ), len(voice))
    energy = np.cumsum(np.square(voice, dtype=np.float64))
    middle = int(np.searchsorted(energy, random.uniform() * energy[-1]))
    start = min(max(0, middle - length // 2), len(voice) - length)
    return voice[start : start + length]


def _peak(voice: Samples) -> float:
    return max(float(np.abs(voice).max()), 1e-9)


def _by_db(
    decibels: float | np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(10 ** (np.asarray(decibels) / 20))
