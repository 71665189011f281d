from __future__ import annotations

import hashlib

import librosa
import numpy as np
import pytest

from ser.encoders.ctranslate2 import read_variables
from ser.encoders.encoder import _Network
from ser.encoders.graph import quantise
from ser.encoders.whisper import N_BANDS, log_mel, write_network
from ser.errors import DamagedError
from tests.tiny_whisper import NORMS, encode, packed, tiny_variables

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("length", [1, 159, 320, 321, 8_000, 30_001])
def test_the_spectrum_is_whisper_s(length: int) -> None:
    # From digital silence, which is raised to 80 dB below the loudest, to noise.
    samples = (RNG.standard_normal(length) * np.linspace(-0.3, 0.3, length).clip(0)).astype(np.float32)
    ours = log_mel(samples)
    frames = 2 * -(-length // 320)
    padded = np.pad(samples, (200, frames * 160 + 200 - length))
    power = np.abs(librosa.stft(padded, n_fft=400, hop_length=160, window="hann", center=False)[:, :frames]) ** 2
    bands = np.log10(np.maximum(librosa.filters.mel(sr=16_000, n_fft=400, n_mels=80) @ power, 1e-10))
    expected = (np.maximum(bands, bands.max() - 8) + 4) / 4
    assert ours.dtype == np.float32
    assert ours.shape == (frames, N_BANDS)
    np.testing.assert_allclose(ours, expected.T, atol=1e-4)


@pytest.mark.parametrize("frames", [2, 4, 100, 3_000])
def test_the_network_computes_what_float64_does_but_for_its_weights_of_eight_bits(frames: int, tmp_path) -> None:
    variables = tiny_variables()
    (tmp_path / "tiny.tflite").write_bytes(write_network(variables, NORMS, "tiny"))
    network = _Network(tmp_path / "tiny.tflite")
    spectrum = RNG.standard_normal((frames, N_BANDS)).astype(np.float32)
    found, expected = network(spectrum), encode(variables, spectrum)
    assert found.dtype == np.float32
    assert found.shape == expected.shape == (frames // 2, 5 * 128)
    # Each norm by itself, so that none can be missing, or in another place.
    for ours, theirs in zip(np.split(found, 5, axis=1), np.split(expected, 5, axis=1), strict=True):
        assert np.abs(ours - theirs).mean() < 0.03 * np.abs(theirs).mean()
    np.testing.assert_array_equal(network(spectrum), found)


def test_weights_become_whole_numbers_and_a_scale_for_each_output() -> None:
    weights = np.array([[0.5, -1.27, 0.005], [0, 0, 0], [2.54, 0.03, -0.03]], np.float32)
    values, scales = quantise(weights)
    np.testing.assert_allclose(scales, [0.01, 1 / 127, 0.02], rtol=1e-6)
    assert values.tolist() == [[50, -127, 1], [0, 0, 0], [127, 2, -2]]
    assert (values.dtype, scales.dtype) == (np.int8, np.float32)


def test_a_file_of_ctranslate2_gives_its_variables() -> None:
    variables = tiny_variables()
    found = read_variables(packed(variables), "model.bin")
    assert found.keys() == variables.keys()
    for name, array in variables.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (packed(tiny_variables(), version=5), "expected version 6, got 5"),
        (packed(tiny_variables())[:-1], "it ends too early"),
        (b"", "it ends too early"),
    ],
)
def test_another_file_is_no_model(content: bytes, why: str) -> None:
    with pytest.raises(DamagedError, match=rf"^model\.bin is no model of CTranslate2: {why}"):
        read_variables(content, "model.bin")


def test_variables_of_another_model_are_refused() -> None:
    variables = tiny_variables()
    del variables["encoder/layer_4/self_attention/layer_norm/beta"]
    with pytest.raises(DamagedError, match=r"^x is no Whisper: 'encoder/layer_4/self_attention/layer_norm/beta'"):
        write_network(variables, NORMS, "x")


def test_the_same_weights_make_the_same_bytes_everywhere() -> None:
    # Where this changes on purpose, the recipe's number in the catalogue is another one too, and the digest there.
    found = hashlib.sha256(write_network(tiny_variables(), NORMS, "tiny")).hexdigest()
    assert found == "9844d5d1acb80879eacfb760ca6c0025d85ff3f84fb8eb39e98cfaf0cc57c886"
