from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ser.config import parse
from ser.encoders import ENCODERS, MissingEncoderError, load_encoder
from ser.encoders.catalogue import OnnxRecord
from ser.encoders.encoder import without_silence
from ser.encoders.storage import install_network
from ser.errors import ConfigError, DamagedError
from ser.features import About
from ser.features.extractors.speech_encoder import SpeechEncoder, SpeechEncoderConfig, pool
from ser.request import FeatureConfig
from ser.steps.feature_extraction import extract_features, extract_part
from ser.storage.arrays import check_arrays
from tests.signals import tone
from tests.tiny_onnx import CHANNELS, tiny_encoder, tiny_frames

RECORD = ENCODERS["whisper-base"]


@pytest.mark.parametrize("n_frames", [1, 2, 7, 150])
def test_what_is_kept_of_the_frames_is_numpy_s(n_frames: int) -> None:
    frames = np.random.default_rng(n_frames).standard_normal((n_frames, 11)).astype(np.float32)
    expected = [frames.mean(0), frames.std(0), *np.percentile(frames, (10, 50, 90), axis=0)]
    found = pool(frames)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.concatenate(expected), atol=1e-5)


def test_features_are_what_the_encoder_hears_of_each_piece() -> None:
    extractor = SpeechEncoder.create(SpeechEncoderConfig(), [])
    pieces = np.stack([tone(1.0), tone(1.0, hertz=500) * (np.arange(16_000) < 5_000)]).astype(np.float32)
    found = extractor.extract(pieces, [About()] * 2)
    assert found.shape == (2, *extractor.shape(16_000)) == (2, 5 * 2_560)
    encoder = load_encoder(RECORD)
    np.testing.assert_array_equal(found, np.stack([pool(encoder(pieces[0])), pool(encoder(pieces[1][:5_000]))]))


def test_an_encoder_that_nobody_knows_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="weights: unknown encoder 'whisper-huge'; known: smart-turn, whisper-base, or an ONNX file"
    ):
        parse(SpeechEncoderConfig, {"weights": "whisper-huge"})


def test_a_model_that_was_trained_behind_another_version_of_the_encoder_is_told() -> None:
    arrays = SpeechEncoder.create(SpeechEncoderConfig(), []).arrays
    assert str(arrays["encoder"]) == RECORD.identity
    SpeechEncoder(SpeechEncoderConfig(), arrays)
    with pytest.raises(DamagedError, match=f"expected the encoder {RECORD.identity}, .* behind whisper-base-older-0"):
        SpeechEncoder(SpeechEncoderConfig(), {"encoder": np.array("whisper-base-older-0")})


def test_an_encoder_that_is_not_here_is_told_when_it_is_wanted(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("SER_ENCODER_ROOT", str(tmp_path))
    load_encoder.cache_clear()
    extractor = SpeechEncoder.create(SpeechEncoderConfig(), [])
    with pytest.raises(MissingEncoderError, match="ser encoder fetch whisper-base"):
        extractor.extract(np.ones((1, 8_000), np.float32), [About()])


@pytest.mark.parametrize("extract", [extract_features, partial(extract_part, number=0, of=1)], ids=["whole", "part"])
def test_a_step_that_wants_an_encoder_that_is_not_here_says_so_before_it_looks_at_the_corpus(
    extract: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SER_ENCODER_ROOT", str(tmp_path / "encoders"))
    settings = {"dataset_feature_extract_methods": {"SpeechEncoder": {}}, "dataset_load_split_at": "max"}
    with pytest.raises(MissingEncoderError, match="ser encoder fetch whisper-base"):
        extract(tmp_path / "no corpus", tmp_path / "features", parse(FeatureConfig, settings))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Name of an ONNX file that is on this machine."""
    monkeypatch.setenv("SER_ENCODER_ROOT", str(tmp_path / "encoders"))
    content = tiny_encoder()
    record = OnnxRecord.of(hashlib.sha256(content).hexdigest())
    install_network(record, content, "mine.onnx")
    return record.name


def test_features_are_what_an_onnx_file_hears(taken: str) -> None:
    settings = {"weights": taken, "statistics": ["percentile_90", "mean"], "outputs": [1]}
    extractor = SpeechEncoder.create(parse(SpeechEncoderConfig, settings), [])
    piece = tone(0.5).astype(np.float32)
    found = extractor.extract(piece[np.newaxis], [About()])
    frames = tiny_frames(without_silence(piece))[1]
    assert found.shape == (1, *extractor.shape(8_000)) == (1, 2 * CHANNELS)
    np.testing.assert_allclose(found[0], np.concatenate([np.percentile(frames, 90, axis=0), frames.mean(0)]), atol=1e-4)


def test_what_a_model_keeps_of_an_onnx_file_is_its_digest_and_its_width(
    taken: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = parse(SpeechEncoderConfig, {"weights": taken})
    arrays = SpeechEncoder.create(config, []).arrays
    assert {name: value.tolist() for name, value in arrays.items()} == {"encoder": taken, "channels": CHANNELS}
    check_arrays(arrays, SpeechEncoder.array_schema(config), "x")
    # A model is opened without ONNX Runtime and without the file: both are wanted when it hears.
    monkeypatch.setattr("ser.extras._is_there", lambda module: module != "onnxruntime")
    monkeypatch.setenv("SER_ENCODER_ROOT", str(tmp_path / "nowhere"))
    assert SpeechEncoder(config, arrays).shape(8_000) == (5 * CHANNELS,)
    for width in (0, 65_537):
        with pytest.raises(DamagedError, match=f"expected 1 to 65536 channels of an encoder, got {width}"):
            SpeechEncoder(config, {**arrays, "channels": np.array(width)})


def test_frames_of_another_width_than_the_model_s_are_refused(taken: str) -> None:
    config = parse(SpeechEncoderConfig, {"weights": taken})
    extractor = SpeechEncoder(config, {"encoder": np.array(taken), "channels": np.array(CHANNELS + 1)})
    with pytest.raises(DamagedError, match="expected frames of 7 channels, the encoder gives 6"):
        extractor.extract(tone(0.5)[np.newaxis].astype(np.float32), [About()])


@pytest.mark.parametrize(
    "settings",
    [{"input": "samples"}, {"outputs": [1]}, {"unit_variance": True}, {"seconds": 8.0}, {"filled": True}],
    ids=lambda settings: next(iter(settings)),
)
def test_settings_of_onnx_files_are_refused_for_encoders_that_are_read_in_one_way(settings: dict[str, object]) -> None:
    (name,) = settings
    for weights in ("whisper-base", "smart-turn"):
        with pytest.raises(ConfigError, match=f"^{name}: is of ONNX files; {weights} is read in one way"):
            parse(SpeechEncoderConfig, {"weights": weights, **settings})
    assert getattr(parse(SpeechEncoderConfig, {"weights": f"onnx-{'0' * 64}", **settings}), name)


def test_what_comes_twice_is_refused() -> None:
    for field, value in (("statistics", ["mean", "mean"]), ("outputs", [0, 0])):
        with pytest.raises(ConfigError, match=f"^{field}: expected each once"):
            parse(SpeechEncoderConfig, {"weights": f"onnx-{'0' * 64}", field: value})


def test_statistics_may_be_chosen_of_every_encoder() -> None:
    extractor = SpeechEncoder.create(parse(SpeechEncoderConfig, {"statistics": ["deviation"]}), [])
    piece = tone(0.5).astype(np.float32)
    frames = load_encoder(RECORD)(piece)
    np.testing.assert_allclose(extractor.extract(piece[np.newaxis], [About()])[0], frames.std(0), atol=1e-4)
