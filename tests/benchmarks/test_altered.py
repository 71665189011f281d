from __future__ import annotations

import numpy as np
import pytest

from benchmarks.altered import ALTERATIONS
from ser.audio.recordings import SAMPLE_RATE_HZ, Samples

TIME = np.arange(4 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ


def tones(*hz: float) -> Samples:
    return np.sum([np.sin(2 * np.pi * one * TIME) for one in hz], axis=0).astype(np.float32)


def altered(name: str, samples: Samples) -> Samples:
    found = ALTERATIONS[name](samples.copy(), np.random.default_rng(0))
    assert found.dtype == np.float32
    return found


@pytest.mark.parametrize("decibels", [20, 10, 5])
def test_noise_is_so_far_below_the_recording(decibels: int) -> None:
    clip = tones(500)
    noise = altered(f"white noise of {decibels} dB", clip) - clip
    assert 10 * np.log10(np.square(clip).mean() / np.square(noise).mean()) == pytest.approx(decibels, abs=0.1)
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.02  # white


@pytest.mark.parametrize(
    ("name", "kept", "lost"),
    [("below 4 kHz", (50, 3_600), (4_300, 6_000)), ("telephone, 300 to 3,400 Hz", (600, 2_500), (60, 6_000))],
)
def test_a_band_is_kept(name: str, kept: tuple[float, ...], lost: tuple[float, ...]) -> None:
    spectrum = np.abs(np.fft.rfft(altered(name, tones(*kept, *lost)))) / (len(TIME) / 2)
    for hz in kept:
        assert spectrum[round(hz * 4)] == pytest.approx(1, abs=0.1)
    for hz in lost:
        assert spectrum[round(hz * 4)] < 0.03


def test_a_beginning_is_that_of_the_speech() -> None:
    clip = np.concatenate([np.full(8_000, 1e-4, dtype=np.float32), tones(500)])
    np.testing.assert_array_equal(altered("first second", clip), clip[8_000:24_000])
    np.testing.assert_array_equal(altered("first two seconds", clip), clip[8_000:40_000])
    np.testing.assert_array_equal(altered("first second", clip[8_000:8_100]), clip[8_000:8_100])


def test_silence_lies_at_both_ends() -> None:
    found = altered("a second of silence at both ends", tones(500))
    np.testing.assert_array_equal(found[16_000:-16_000], tones(500))
    assert not found[:16_000].any()
    assert not found[-16_000:].any()
