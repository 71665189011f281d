from __future__ import annotations

import numpy as np
import pytest

from ser.acoustics import HOP_SAMPLES, track_pitch
from ser.audio.recordings import SAMPLE_RATE_HZ
from ser.audio.virtual_speakers import MOST, SPEEDS, virtual_speaker

TIME = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
VOICE = sum(np.sin(2 * np.pi * 150 * number * TIME) / number for number in range(1, 8)).astype(np.float32)


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


def test_a_virtual_speaker_is_always_the_same_and_of_another_clip_another() -> None:
    np.testing.assert_array_equal(virtual_speaker(VOICE, 0, "a.wav"), virtual_speaker(VOICE, 0, "a.wav"))
    assert not np.array_equal(virtual_speaker(VOICE, 0, "a.wav"), virtual_speaker(VOICE, 0, "b.wav"))


@pytest.mark.parametrize("samples", [np.zeros(400, np.float32), np.ones(1, np.float32)], ids=["silence", "one sample"])
def test_what_is_hardly_a_clip_stays_finite(samples: np.ndarray) -> None:
    assert np.isfinite(virtual_speaker(samples, 1, "a.wav")).all()
