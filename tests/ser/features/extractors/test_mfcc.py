from __future__ import annotations

import warnings
from typing import Any

import librosa
import numpy as np
import numpy.typing as npt
import pytest

from ser.config import parse
from ser.errors import ConfigError
from ser.features.extractors.mfcc import MFCC, MFCCConfig

RNG = np.random.default_rng(7)
CONFIGS: list[dict[str, Any]] = [
    {},
    {"num_cepstral": 40},
    {"num_cepstral": 20, "frame_length": 0.025, "fft_length": 400, "num_filters": 26},
    {
        "frame_stride": 0.0125,
        "low_frequency": 50,
        "high_frequency": 7_800,
        "fft_length": 1024,
        "num_filters": 64,
    },
    {"frame_length": 0.01, "frame_stride": 0.02},
]


def oracle(samples: npt.NDArray[np.float32], config: MFCCConfig) -> npt.NDArray[np.float32]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="n_fft=.* is too large", category=UserWarning)
        coefficients = librosa.feature.mfcc(
            y=samples,
            sr=16_000,
            n_mfcc=config.num_cepstral,
            n_fft=config.fft_length,
            hop_length=config.hop_samples,
            win_length=config.window_samples,
            n_mels=config.num_filters,
            fmin=config.low_frequency,
            fmax=config.top_hz,
        )
    return coefficients.T


def signal(kind: str, length: int) -> npt.NDArray[np.float32]:
    time = np.arange(length) / 16_000
    values = {
        "noise": RNG.standard_normal(length) * 0.1,
        "quiet noise": RNG.standard_normal(length) * 1e-5,
        "silence": np.zeros(length),
        "tone": np.sin(2 * np.pi * 440 * time),
        "click": np.eye(1, length, length // 2)[0],
        "half silent": np.where(time < length / 32_000, RNG.standard_normal(length), 0.0),
    }[kind]
    return values.astype(np.float32)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("length", [1, 2, 159, 160, 161, 319, 511, 512, 513, 8_001, 19_721])
@pytest.mark.parametrize("kind", ["noise", "quiet noise", "silence", "tone", "click", "half silent"])
def test_equals_librosa(config: dict[str, Any], length: int, kind: str) -> None:
    parsed = parse(MFCCConfig, {**config, "dc_elimination": False})
    samples = signal(kind, length)
    ours = MFCC.create(parsed, []).extract(samples[np.newaxis], [])
    theirs = oracle(samples, parsed)
    assert ours.dtype == np.float32
    # 1e-3 in coefficients of up to 700: a few units in the last place of float32.
    np.testing.assert_allclose(ours[0], theirs, rtol=1e-5, atol=1e-3)


def test_dc_elimination_puts_the_log_energy_first_and_leaves_the_rest() -> None:
    samples = signal("noise", 8_000)[np.newaxis]
    without = MFCC.create(MFCCConfig(dc_elimination=False), []).extract(samples, [])
    with_energy = MFCC.create(MFCCConfig(), []).extract(samples, [])
    louder = MFCC.create(MFCCConfig(), []).extract(samples * 10, [])
    np.testing.assert_array_equal(with_energy[..., 1:], without[..., 1:])
    np.testing.assert_allclose(louder[..., 0] - with_energy[..., 0], np.log(100), rtol=1e-4)
    assert np.isfinite(MFCC.create(MFCCConfig(), []).extract(samples * 0, [])).all()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"num_cepstral": 41}, "num_cepstral of at most num_filters = 40"),
        ({"fft_length": 256}, "fft_length of at least a frame, which has 320 samples"),
        ({"low_frequency": 4_000, "high_frequency": 3_000}, "low_frequency below high_frequency = 3000"),
        ({"high_frequency": 9_000}, "high_frequency: .*less than or equal to 8000"),
        ({"num_cepstral": "many"}, "num_cepstral: expected a whole number, got 'many'"),
        ({"num_cepstral": True}, "num_cepstral: expected a whole number, got True"),
        ({"frame_stride": 0}, "frame_stride: .*greater than 0"),
        ({"frame_stride": 1e-9}, "at least one sample"),
        ({"dc_elimination": "yes"}, "dc_elimination: .*valid boolean"),
        ({"cepstra": 13}, "cepstra: unknown field; allowed: num_cepstral, frame_length"),
    ],
    ids=str,
)
def test_a_wrong_config_names_the_field(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(MFCCConfig, config)


def test_whole_numbers_may_come_as_floats() -> None:
    assert parse(MFCCConfig, {"num_cepstral": 20.0}) == MFCCConfig(num_cepstral=20)


def test_bands_without_any_frequency_are_refused() -> None:
    with pytest.raises(ConfigError, match="num_filters: 200 bands"):
        MFCC.create(MFCCConfig(num_filters=200), [])
