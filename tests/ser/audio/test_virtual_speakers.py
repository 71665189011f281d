from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import lfilter, welch
from soxr import resample

from ser.acoustics import HOP_SAMPLES, track_pitch
from ser.audio import virtual_speakers
from ser.audio.recordings import SAMPLE_RATE_HZ
from ser.audio.virtual_speakers import MOST, VIRTUAL_SPEAKERS, virtual_speaker

TIME = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
VOICE = sum(np.sin(2 * np.pi * 150 * number * TIME) / number for number in range(1, 8)).astype(np.float32)
NAMES = [f"{number}.wav" for number in range(40)]
FAR, SHORT = 7, 5

SPEEDS = (0.90, 1.10, 0.94, 1.06, 1.04, 1.00, 0.92, 0.96, 1.00, 1.08)
ECHOES, NOISE, BANDS, NARROW = "_ECHO_DB", "_FAR_NOISE_DB", "_BAND_DB", "_NARROW"
Without = Callable[..., None]


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Without:
    """Takes parts of what a far voice goes through away, so that the others can be seen alone."""
    nothing: dict[str, object] = {ECHOES: (-200.0, -200.0), NOISE: (-200.0, -200.0), BANDS: (0.0, 0.0), NARROW: 0.0}

    def take(*names: str) -> None:
        for name in names:
            monkeypatch.setattr(virtual_speakers, name, nothing[name])

    return take


def test_the_voices_are_those_that_models_were_measured_with() -> None:
    assert tuple(one.speed for one in VIRTUAL_SPEAKERS) == SPEEDS
    assert [one.far for one in VIRTUAL_SPEAKERS] == [False] * 4 + [True, False, True] * 2
    assert [one.short for one in VIRTUAL_SPEAKERS] == [False] * 4 + [False, True, True] * 2
    assert len(VIRTUAL_SPEAKERS) == MOST


@pytest.mark.parametrize("number", range(MOST))
def test_a_virtual_speaker_is_faster_and_higher_alike(number: int) -> None:
    before = VOICE.copy()
    voice = virtual_speaker(VOICE, number, "a.wav")
    np.testing.assert_array_equal(VOICE, before)
    assert voice.dtype == np.float32
    assert np.abs(voice).max() == pytest.approx(1)
    if not (VIRTUAL_SPEAKERS[number].far or VIRTUAL_SPEAKERS[number].short):
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


def test_echoes_of_a_far_voice_die_away(without: Without) -> None:
    """Of a click: by 60 dB within 0.1 to 0.6 s, evenly; -15 to 2 dB of what comes directly."""
    without(NOISE, BANDS, NARROW)
    click = np.zeros(2 * SAMPLE_RATE_HZ, dtype=np.float32)
    click[1_000] = 1
    seconds, decibels = [], []
    for name in NAMES:
        heard = virtual_speaker(click, FAR, name).astype(np.float64)
        start = int(np.abs(heard).argmax())
        echoes = np.square(heard[start + 50 :])  # behind what resampling makes of the click itself
        left = 10 * np.log10(np.cumsum(echoes[::-1])[::-1] / echoes.sum() + 1e-12)  # Schroeder's curve
        begin, end = (int((left > level).sum()) for level in (-5, -25))
        seconds.append((end - begin) / SAMPLE_RATE_HZ * 3)
        decibels.append(10 * np.log10(echoes.sum() / np.square(heard[start - 50 : start + 50]).sum()))
        assert np.abs(heard[: start - 50]).max() < 0.01
        assert 0.03 < len(heard) / SAMPLE_RATE_HZ - 2 / SPEEDS[FAR] < 0.21  # a third of the time that they last
    assert 0.08 < min(seconds) < 0.2
    assert 0.5 < max(seconds) < 0.66
    assert -18 < min(decibels) < -12
    assert -1 < max(decibels) < 3


def test_noise_about_a_far_voice_is_15_to_45_db_below_it(without: Without) -> None:
    without(ECHOES, BANDS, NARROW)
    tone = np.sin(2 * np.pi * 1_000 * np.arange(2 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ).astype(np.float32)
    decibels, slopes = [], []
    for name in NAMES:
        heard = virtual_speaker(tone, FAR, name)[: len(tone)].astype(np.float64)
        frequencies, power = welch(heard, SAMPLE_RATE_HZ, nperseg=2_048)
        voice = (frequencies > 800) & (frequencies < 1_200)
        decibels.append(10 * np.log10(power[~voice].sum() / power[voice].sum()))
        octaves = [power[(frequencies > low) & (frequencies < 2 * low)].mean() for low in (1_600, 3_200)]
        slopes.append(10 * np.log10(octaves[1] / octaves[0]))
    assert -46 < min(decibels) < -42
    assert -18 < max(decibels) < -14.5
    assert -3.6 < min(slopes) < -2  # as much power in each octave
    assert -1 < max(slopes) < 0.6  # white


def _power(name: str, low: float, high: float) -> npt.NDArray[np.float64]:
    """In dB, of white noise by a far voice, from one frequency to another."""
    white = np.random.default_rng(0).standard_normal(4 * SAMPLE_RATE_HZ).astype(np.float32)
    frequencies, power = welch(virtual_speaker(white, FAR, name).astype(np.float64), SAMPLE_RATE_HZ, nperseg=2_048)
    return 10 * np.log10(power[(frequencies > low) & (frequencies < high)])


def _smooth(decibels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.convolve(decibels, np.ones(9) / 9, "valid")


def test_a_far_microphone_has_bands_of_its_own(without: Without) -> None:
    without(ECHOES, NOISE, NARROW)
    spreads = [np.ptp(_smooth(_power(name, 100, 7_000))) for name in NAMES]
    assert 4 < min(spreads) < max(spreads) < 18
    assert np.median(spreads) > 8
    without(BANDS)
    assert np.ptp(_smooth(_power("a.wav", 100, 7_000))) < 4


def test_one_far_microphone_in_three_is_a_telephone(without: Without) -> None:
    without(ECHOES, NOISE, BANDS)
    telephones = []
    for name in NAMES:
        below, inside, above = (_power(name, *edges).mean() for edges in ((5, 32), (500, 3_000), (5_500, 7_000)))
        telephones.append(inside - above > 18)
        assert (inside - below > 18) == telephones[-1]
        assert telephones[-1] or abs(inside - above) < 3
    assert 0.15 < np.mean(telephones) < 0.45


@pytest.mark.parametrize("number", [number for number, one in enumerate(VIRTUAL_SPEAKERS) if one.short])
def test_of_some_a_second_or_two_is_heard(number: int) -> None:
    clip = np.tile(VOICE, 5)
    seconds = [len(virtual_speaker(clip, number, name)) / SAMPLE_RATE_HZ for name in NAMES]
    assert 0.7 <= min(seconds) < 0.9
    assert 2.0 < max(seconds) <= 2.2
    assert len(virtual_speaker(VOICE[:4_000], number, "a.wav")) >= 3_600  # it is no longer than that


def test_what_is_heard_of_a_clip_is_speech_from_anywhere_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_speakers, "_TILT", 0.0)
    monkeypatch.setattr(virtual_speakers, "_NOISE_DB", (-200.0, -200.0))
    ramp = np.linspace(0.5, 1, 3 * SAMPLE_RATE_HZ, dtype=np.float32)  # tells where it was
    clip = np.concatenate([np.zeros(10 * SAMPLE_RATE_HZ, dtype=np.float32), ramp])
    starts, ends = [], []
    for name in NAMES:
        part = virtual_speaker(clip, SHORT, name)
        assert part[-1] == 1  # of a ramp, the last is the loudest
        sounds = part[part > 0.01]
        place = 6 * SAMPLE_RATE_HZ * len(sounds) * (1 - float(sounds[0])) / (len(part) * SAMPLE_RATE_HZ)
        assert len(sounds) > 0.4 * len(part), place
        ratio = float(sounds[0])  # of its first sample to its last, which lie len(sounds) apart on the ramp
        last = len(sounds) / SAMPLE_RATE_HZ / 6 / (1 - ratio)
        starts.append((last * ratio - 0.5) * 6)
        ends.append((last - 0.5) * 6)
    assert min(starts) < 0.3
    assert max(ends) == pytest.approx(3, abs=0.05)
    assert np.ptp(starts) > 1


def test_what_is_heard_lies_about_what_is_loud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_speakers, "_NOISE_DB", (-200.0, -200.0))
    clip = np.random.default_rng(0).standard_normal(10 * SAMPLE_RATE_HZ).astype(np.float32) * np.float32(1e-5)
    clip[80_000] = 1
    for name in NAMES[:5]:
        part = virtual_speaker(clip, SHORT, name)
        assert np.abs(part).argmax() == pytest.approx(len(part) // 2, abs=2)


def test_a_virtual_speaker_is_always_the_same_and_of_another_clip_another() -> None:
    for number in range(MOST):
        np.testing.assert_array_equal(virtual_speaker(VOICE, number, "a.wav"), virtual_speaker(VOICE, number, "a.wav"))
        one, other = (virtual_speaker(VOICE, number, name) for name in ("a.wav", "b.wav"))
        assert one.shape != other.shape or not np.array_equal(one, other)


@pytest.mark.parametrize("number", range(MOST))
@pytest.mark.parametrize("samples", [np.zeros(400, np.float32), np.ones(1, np.float32)], ids=["silence", "one sample"])
def test_what_is_hardly_a_clip_stays_finite(samples: npt.NDArray[np.float32], number: int) -> None:
    voice = virtual_speaker(samples, number, "a.wav")
    assert len(voice)
    assert np.isfinite(voice).all()
