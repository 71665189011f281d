"""The functionals one by one: statistics by SciPy, rhythm by hand on frames that are made, modulation by a DFT."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats

from ser.acoustics import CHANNELS, Descriptors
from ser.features.extractors.functionals import functionals

MEL, MFCC = slice(0, 64), slice(64, 84)
SHAPE = slice(84, len(CHANNELS) - 1)
ENERGY, PITCH = CHANNELS.index("energy"), CHANNELS.index("pitch")
N_SHAPE = SHAPE.stop - SHAPE.start
EVERYWHERE, WHERE_VOICED = 32 + 3 * 20 + 2 * N_SHAPE, 1 + 13 + N_SHAPE
STATISTICS = 15
RHYTHM = 3 + 3 * 4 + 2 + 6
MODULATION = 9 * 16
STARTS = np.cumsum([0, STATISTICS * EVERYWHERE, STATISTICS * WHERE_VOICED, RHYTHM, MODULATION]).tolist()
N_FRAMES = 150


def speech(**channels: npt.NDArray[np.float64] | float) -> Descriptors:
    """Frames of noise, with some channels as a test has them; voiced where the pitch is above zero."""
    values = np.random.default_rng(3).standard_normal((N_FRAMES, len(CHANNELS))).astype(np.float32)
    values = values * np.linspace(0.5, 20, len(CHANNELS), dtype=np.float32) + 7
    values[:, PITCH] = 0
    for name, value in channels.items():
        values[:, CHANNELS.index(name)] = value
    return Descriptors(values, values[:, PITCH] > 0)


def stretch(*ranges: tuple[int, int], of: float = 1.0, rest: float = 0.0) -> npt.NDArray[np.float64]:
    values = np.full(N_FRAMES, rest)
    for start, end in ranges:
        values[start:end] = of
    return values


def slope(channels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The least-squares line through five frames, the first and the last frame repeated behind the ends."""
    padded = np.concatenate([channels[:1], channels[:1], channels, channels[-1:], channels[-1:]])
    return np.stack([np.polyfit(range(5), padded[at : at + 5], 1)[0] for at in range(len(channels))])


def statistics(channels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    time = np.linspace(-1, 1, len(channels))
    p = np.percentile(channels, [2, 10, 25, 50, 75, 90, 98], axis=0)
    return np.stack(
        [
            channels.mean(axis=0),
            channels.std(axis=0),
            scipy.stats.skew(channels),
            scipy.stats.kurtosis(channels, fisher=False),
            np.array([scipy.stats.linregress(time, one).slope for one in channels.T]),
            *p,
            p[6] - p[0],
            p[4] - p[2],
            np.abs(channels[1:] - channels[:-1]).mean(axis=0),
        ]
    )


@pytest.mark.parametrize("part", [0, 1])
def test_statistics_are_scipy_s(part: int) -> None:
    pitch = np.where(np.arange(N_FRAMES) % 50 < 30, 7 + 0.3 * np.sin(np.arange(N_FRAMES)), 0)
    made = speech(pitch=pitch)
    values = made.values.astype(np.float64)
    mfcc, shape = values[:, MFCC], values[:, SHAPE]
    if part == 0:
        channels = np.concatenate(
            [values[:, :64:2], mfcc, slope(mfcc), slope(slope(mfcc)), shape, slope(shape)], axis=1
        )
    else:
        channels = np.concatenate([values[:, [PITCH]], mfcc[:, :13], shape], axis=1)[pitch > 0]
    found = functionals(made)[STARTS[part] : STARTS[part + 1]].reshape(STATISTICS, -1)
    expected = statistics(channels)
    # A statistic at a time, each against the largest of its kind.
    for number in range(STATISTICS):
        scale = np.abs(expected[number]).max()
        np.testing.assert_allclose(found[number], expected[number], rtol=2e-3, atol=1e-4 * scale, err_msg=str(number))


def rhythm(made: Descriptors) -> dict[str, float]:
    names = ["log_seconds", "voiced", "pause"]
    names += [f"{mask} {what}" for mask in ("voiced", "unvoiced", "pause") for what in ("mean", "std", "max", "rate")]
    names += ["syllables", "syllables while speaking", *(f"movement {what}" for what in ("mean", "std", "abs", "max"))]
    names += ["movement min", "movement rising"]
    return dict(zip(names, functionals(made)[STARTS[2] : STARTS[3]].tolist(), strict=True))


def test_rhythm_is_as_counted_by_hand() -> None:
    # 1.5 s. Voiced: 0.1 s rising an octave a second, 0.2 s falling two octaves a second, 0.04 s too short for a slope.
    pitch = np.zeros(N_FRAMES)
    pitch[10:20] = 7 + np.arange(10) / 100
    pitch[40:60] = 8 - 2 * np.arange(20) / 100
    pitch[100:104] = 7.5
    # 0.5 s of pause in two stretches, more than 30 dB below the loudest, and only just; the rest is only just not.
    energy = stretch((0, 20), (120, 150), of=-30.4, rest=-29.6)
    # Three syllables, smoothed: two less than 25 dB below it, the second only just; the third only just not.
    bell = np.hanning(9)[1:-1]
    smoothed_by = bell @ np.abs(np.arange(-3, 4)) / bell.sum()
    for middle, peak in ((40, 0.0), (70, -24.6 + smoothed_by), (100, -25.4 + smoothed_by)):
        energy[middle - 6 : middle + 7] = np.maximum(energy[middle - 6 : middle + 7], peak - np.abs(np.arange(-6, 7)))
    found = rhythm(speech(pitch=pitch, energy=energy))
    assert found["log_seconds"] == pytest.approx(np.log(1.5))
    assert found["voiced"] == pytest.approx(34 / 150)
    assert found["pause"] == pytest.approx(50 / 150)
    lengths = {"voiced": [0.1, 0.2, 0.04], "unvoiced": [0.1, 0.2, 0.4, 0.46], "pause": [0.2, 0.3]}
    for mask, seconds in lengths.items():
        assert found[f"{mask} mean"] == pytest.approx(np.mean(seconds)), mask
        assert found[f"{mask} std"] == pytest.approx(np.std(seconds), abs=1e-6), mask
        assert found[f"{mask} max"] == pytest.approx(max(seconds)), mask
        assert found[f"{mask} rate"] == pytest.approx(len(seconds) / 1.5), mask
    assert found["syllables"] == pytest.approx(2 / 1.5)
    assert found["syllables while speaking"] == pytest.approx(2 / 1.0)
    assert found["movement mean"] == pytest.approx(-0.5, abs=1e-3)
    assert found["movement std"] == pytest.approx(1.5, abs=1e-3)
    assert found["movement abs"] == pytest.approx(1.5, abs=1e-3)
    assert (found["movement max"], found["movement min"]) == pytest.approx((1, -2), abs=1e-3)
    assert found["movement rising"] == pytest.approx(0.5)


def test_without_a_voice_there_are_zeros() -> None:
    made = speech()
    assert not functionals(made)[STARTS[1] : STARTS[2]].any()
    found = rhythm(made)
    assert [found[f"voiced {what}"] for what in ("mean", "std", "max", "rate")] == [0, 0, 0, 0]
    assert found["unvoiced max"] == pytest.approx(1.5)
    assert {value for name, value in found.items() if name.startswith("movement")} == {0}


def test_modulation_is_the_power_of_each_range_in_each_band() -> None:
    made = speech()
    time = np.arange(N_FRAMES) / 100
    made.values[:, MEL] += 20 * np.sin(2 * np.pi * 5 * time)[:, None]  # syllables, in every band
    made.values[:, 60:64] += 40 * np.sin(2 * np.pi * 15 * time)[:, None]  # in the last band alone
    found = functionals(made)[STARTS[3] : STARTS[4]].reshape(9, 16)
    bands = made.values[:, MEL].astype(np.float64).reshape(N_FRAMES, 16, 4).mean(axis=2)
    bands -= bands.mean(axis=0)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1, N_FRAMES + 1) / (N_FRAMES + 1))
    hz = np.arange(129) * 100 / 256
    turning = np.exp(-2j * np.pi * np.outer(np.arange(129), np.arange(N_FRAMES)) / 256)
    power = np.abs(turning @ (bands * window[:, None])) ** 2 / N_FRAMES
    edges = (0.5, 1, 2, 3, 4, 6, 8, 12, 20, 32)
    expected = [
        np.log(np.mean([power[k] for k in range(129) if low <= hz[k] < high], axis=0) + 1e-3)
        for low, high in itertools.pairwise(edges)
    ]
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert set(found[:, :15].argmax(axis=0)) == {4}  # 4 to 6 Hz
    assert found[:, 15].argmax() == 7  # 12 to 20 Hz
