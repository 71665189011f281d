"""Virtual speakers: what a clip would be, said by another voice, elsewhere. For training only.

A clip that is played slower has a longer vocal tract, a lower pitch and less haste, like another speaker's (Jaitly and
Hinton, 2013, warp the vocal tract alone; Ko et al., 2015, the speed). A tilt of the spectrum and some noise stand for
another microphone and room.
"""

from __future__ import annotations

import hashlib

import numpy as np
import soxr

from ser.audio.recordings import SAMPLE_RATE_HZ, Samples

SPEEDS = (0.90, 1.10, 0.94, 1.06, 0.86, 1.15, 0.97, 1.03)
"""How fast each virtual speaker plays a clip."""
MOST = len(SPEEDS)
"""How many virtual speakers there are."""
_TILT = 0.3
_NOISE_DB = (-65.0, -45.0)


def virtual_speaker(samples: Samples, number: int, name: str) -> Samples:
    """A clip by a virtual speaker: the same on every machine, whatever else is computed.

    Args:
        samples: float32, shape (n,), n > 0, at `SAMPLE_RATE_HZ`.
        number: Which speaker, from 0 to `MOST` - 1.
        name: The clip's name, which seeds tilt and noise.

    Returns:
        float32, shape (about n / SPEEDS[number],), with a peak of 1.
    """
    digest = hashlib.sha256(f"{number}/{name}".encode()).digest()
    random = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    voice: Samples = soxr.resample(samples, SAMPLE_RATE_HZ * SPEEDS[number], SAMPLE_RATE_HZ)
    voice[1:] += np.float32(random.uniform(-_TILT, _TILT)) * voice[:-1]
    voice /= max(float(np.abs(voice).max()), 1e-9)
    loudness = np.float32(10 ** (random.uniform(*_NOISE_DB) / 20))
    voice += loudness * random.standard_normal(len(voice), dtype=np.float32)
    voice /= max(float(np.abs(voice).max()), 1e-9)
    return voice
