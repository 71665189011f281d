from __future__ import annotations

import hashlib

import numpy as np
import pytest
from scipy.signal import lfilter
from soxr import resample

from ser.acoustics import HOP_SAMPLES, track_pitch
from ser.audio.recordings import SAMPLE_RATE_HZ
from ser.audio.virtual_speakers import MOST, virtual_speaker

TIME = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
VOICE = sum(np.sin(2 * np.pi * 150 * number * TIME) / number for number in range(1, 8)).astype(np.float32)


SPEEDS = (0.90, 1.10, 0.94, 1.06, 0.86, 1.15, 0.97, 1.03)


def test_each_has_a_speed_of_its_own() -> None:
    assert len(SPEEDS) == MOST == len(set(SPEEDS))


@pytest.mark.parametrize("number", range(MOST))
def test_a_virtual_speaker_is_faster_and_higher_alike(number: int) -> None:
    before = VOICE.copy()
    voice = virtual_speaker(VOICE, number, "a.wav")
    np.testing.assert_array_equal(VOICE, before)
    assert voice.dtype == np.float32
    assert np.abs(voice).max() == pytest.approx(1)
    assert len(voice) == pytest.approx(len(VOICE) / SPEEDS[number], abs=1)
    pitch = track_pitch(voice, HOP_SAMPLES, len(voice) // HOP_SAMPLES)
    assert np.median(pitch.hz[pitch.voiced]) == pytest.approx(150 * SPEEDS[number], rel=0.02)


@pytest.mark.parametrize("name", ["a.wav", "wav/03a01Fa.wav"])
def test_it_is_in_another_room_before_another_microphone(name: str) -> None:
    """A tilt of up to 0.3 either way, and noise of 45 to 65 dB below the loudest sample, drawn by the clip's name."""
    random = np.random.default_rng(int.from_bytes(hashlib.sha256(f"3/{name}".encode()).digest()[:8], "little"))
    tilt, level = random.uniform(-0.3, 0.3), random.uniform(-65.0, -45.0)
    voice = lfilter([1.0, tilt], [1.0], resample(VOICE.astype(np.float64), 16_000 * SPEEDS[3], 16_000))
    noisy = voice / np.abs(voice).max() + 10 ** (level / 20) * random.standard_normal(len(voice), dtype=np.float32)
    np.testing.assert_allclose(virtual_speaker(VOICE, 3, name), noisy / np.abs(noisy).max(), atol=1e-4)


def test_a_virtual_speaker_is_always_the_same_and_of_another_clip_another() -> None:
    np.testing.assert_array_equal(virtual_speaker(VOICE, 0, "a.wav"), virtual_speaker(VOICE, 0, "a.wav"))
    assert not np.array_equal(virtual_speaker(VOICE, 0, "a.wav"), virtual_speaker(VOICE, 0, "b.wav"))


@pytest.mark.parametrize("samples", [np.zeros(400, np.float32), np.ones(1, np.float32)], ids=["silence", "one sample"])
def test_what_is_hardly_a_clip_stays_finite(samples: np.ndarray) -> None:
    assert np.isfinite(virtual_speaker(samples, 1, "a.wav")).all()
