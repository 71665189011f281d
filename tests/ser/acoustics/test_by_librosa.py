"""The descriptors one by one, by librosa and SciPy where those have them, and by their definition where not."""

from __future__ import annotations

from functools import cache

import librosa
import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats

from ser.acoustics import CHANNELS, HOP_SAMPLES, describe
from ser.audio.recordings import SAMPLE_RATE_HZ

N_FRAMES, FRAME_SAMPLES = 60, 400
MEL, MFCC = slice(0, 64), slice(64, 84)
HZ = np.fft.rfftfreq(512, 1 / SAMPLE_RATE_HZ)


@cache
def sound() -> npt.NDArray[np.float32]:
    """0.6 s: a voice that rises, hiss, and near-silence in the middle, loud at both ends so that nothing is cut."""
    n = N_FRAMES * HOP_SAMPLES
    time = np.arange(n) / SAMPLE_RATE_HZ
    phase = 2 * np.pi * np.cumsum(140 + 120 * time) / SAMPLE_RATE_HZ
    voice = sum(np.sin(number * phase) / number for number in range(1, 20))
    hiss = np.random.default_rng(11).standard_normal(n)
    envelope = np.where((time > 0.2) & (time < 0.3), 1e-6, 1.0)
    return ((0.1 * voice + 0.02 * hiss * (time > 0.35)) * envelope).astype(np.float32)


@cache
def power() -> npt.NDArray[np.float64]:
    """Power spectra, a frame a row: 25 ms around the middle of every 10 ms, Hamming, 512 points."""
    before = (FRAME_SAMPLES - HOP_SAMPLES) // 2
    padded = np.concatenate([np.zeros(before), sound().astype(np.float64), np.zeros(FRAME_SAMPLES)])
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(FRAME_SAMPLES) / (FRAME_SAMPLES - 1))
    frames = [padded[at * HOP_SAMPLES : at * HOP_SAMPLES + FRAME_SAMPLES] * window for at in range(N_FRAMES)]
    return np.abs(np.fft.rfft(frames, 512)) ** 2


@cache
def mel() -> npt.NDArray[np.float64]:
    filters = librosa.filters.mel(
        sr=SAMPLE_RATE_HZ, n_fft=512, n_mels=64, fmin=50, fmax=7_800, htk=True, norm=None, dtype=np.float64
    )
    filters = filters / filters.sum(axis=1, keepdims=True)  # a flat spectrum is flat in every band
    return librosa.power_to_db(power() @ filters.T, amin=1e-10, top_db=80)


def channel(name: str) -> npt.NDArray[np.float32]:
    return describe(sound()).values[:, CHANNELS.index(name)]


def test_the_mel_spectrum_and_the_cepstrum_are_librosa_s() -> None:
    values = describe(sound()).values
    assert values.shape == (N_FRAMES, len(CHANNELS))
    assert np.ptp(mel()) == pytest.approx(80)  # the near-silence is further down than that
    np.testing.assert_allclose(values[:, MEL], mel(), atol=0.01)
    cepstrum = librosa.feature.mfcc(S=mel().T, n_mfcc=20, dct_type=2, norm="ortho").T
    np.testing.assert_allclose(values[:, MFCC], cepstrum, atol=0.02)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75, 0.9])
def test_roll_offs_are_librosa_s(share: float) -> None:
    expected = librosa.feature.spectral_rolloff(S=power().T, freq=HZ, roll_percent=share)[0]
    found = channel(f"roll_off_{share:.0%}")
    # A bin further where rounding decides; the whole grid is met elsewhere.
    assert (np.abs(found - expected) <= 31.3).all()
    assert (found == expected.astype(np.float32)).mean() > 0.9


def test_the_centroid_is_librosa_s() -> None:
    np.testing.assert_allclose(
        channel("centroid"), librosa.feature.spectral_centroid(S=power().T, freq=HZ)[0], rtol=1e-3
    )


def test_flatness_is_the_geometric_mean_of_the_mel_bands_over_the_arithmetic_one() -> None:
    bands = 10 ** (mel() / 10)
    expected = 10 * np.log10(scipy.stats.gmean(bands, axis=1) / bands.mean(axis=1))
    np.testing.assert_allclose(channel("flatness"), expected, atol=0.02)


def test_energy_flux_slopes_and_crossings_are_as_defined() -> None:
    spectra = power()
    np.testing.assert_allclose(channel("energy"), 10 * np.log10(spectra.sum(axis=1)), atol=0.01)
    magnitude = np.sqrt(spectra / spectra.sum(axis=1, keepdims=True))
    flux = [0.0, *(np.linalg.norm(magnitude[at] - magnitude[at - 1]) for at in range(1, N_FRAMES))]
    np.testing.assert_allclose(channel("flux"), flux, atol=1e-3)
    for low, border, high in ((50, 1000, 5000), (50, 500, 1000), (1000, 2000, 4000)):
        below, above = (
            spectra[:, np.searchsorted(HZ, start) : np.searchsorted(HZ, end)].sum(axis=1)
            for start, end in ((low, border), (border, high))
        )
        expected = 10 * np.log10(np.maximum(above, 1e-10)) - 10 * np.log10(np.maximum(below, 1e-10))
        np.testing.assert_allclose(channel(f"slope_{low}_{border}_{high}"), expected, atol=0.02)
    before = (FRAME_SAMPLES - HOP_SAMPLES) // 2
    padded = np.concatenate([np.zeros(before), sound(), np.zeros(FRAME_SAMPLES)])
    for at in (0, 5, 40, N_FRAMES - 1):
        frame = padded[at * HOP_SAMPLES : at * HOP_SAMPLES + FRAME_SAMPLES]
        changes = sum((a < 0) != (b < 0) for a, b in zip(frame[1:], frame[:-1], strict=True))
        assert channel("zero_crossings")[at] == pytest.approx(changes / (FRAME_SAMPLES - 1))


def test_harmonicity_and_pitch_are_the_tracker_s_in_db_and_octaves() -> None:
    middle = slice(5, 15)
    hz = 140 + 120 * (np.arange(N_FRAMES) + 0.5) / 100
    np.testing.assert_allclose(channel("pitch")[middle], np.log2(hz)[middle], atol=0.02)
    assert (describe(sound()).voiced == (channel("pitch") > 0)).all()
    # A voice with so much of its power in noise: 10 log10(r / (1 - r)), r the share that repeats.
    time = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    tone = np.sin(2 * np.pi * 200 * time)
    noise = np.random.default_rng(2).standard_normal(SAMPLE_RATE_HZ)
    for ratio_db in (5.0, 15.0):
        noisy = (tone + noise * np.sqrt(0.5 / 10 ** (ratio_db / 10))).astype(np.float32)
        found = describe(noisy).values[10:-10, CHANNELS.index("harmonicity")]
        assert np.median(found) == pytest.approx(ratio_db, abs=1.5)


def test_what_is_quieter_than_40_db_below_the_loudest_is_cut_off_at_the_ends_by_whole_hops() -> None:
    hop = np.sin(2 * np.pi * 500 * np.arange(HOP_SAMPLES) / SAMPLE_RATE_HZ)
    levels_db = [-80, -41, -39, -45, 0, -3, -60, -10, -39, -41, -80, -41]
    samples = np.concatenate([hop * 10 ** (level / 20) for level in levels_db])
    kept = np.concatenate([hop * 10 ** (level / 20) for level in levels_db[2:9]])
    found, expected = describe(samples.astype(np.float32)), describe(kept.astype(np.float32))
    assert len(found.values) == 7
    np.testing.assert_array_equal(found.values, expected.values)
    # What is left of a hop at the end goes with it; speech up to the last sample stays.
    assert len(describe(kept[: 6 * HOP_SAMPLES + 100].astype(np.float32)).values) == 6
    assert len(describe(kept.astype(np.float32)).values) == 7
