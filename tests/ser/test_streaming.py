"""Windows of a stream."""

from __future__ import annotations

import numpy as np
import pytest

from ser.bundle import Bundle
from ser.errors import AudioError
from ser.features import About
from ser.predictor import Predictor
from ser.streaming import StreamConfig, StreamingPredictor, Window
from tests.signals import tone


@pytest.fixture
def predictor(bundle: Bundle) -> Predictor:
    return Predictor(bundle.folder.parent, bundle.manifest.model_id)


def pcm(seconds: float, rate_hz: int = 16_000) -> bytes:
    return (tone(seconds, rate_hz) * np.linspace(0.3, 1, round(seconds * rate_hz)) * 32_767).astype("<i2").tobytes()


def windows(predictor: Predictor, data: bytes, chunk: int, **config: float) -> list[Window]:
    stream = StreamingPredictor(predictor, StreamConfig(**config), About())
    found = [window for at in range(0, len(data), chunk) for window in stream.feed(data[at : at + chunk])]
    return [*found, *stream.finish()]


@pytest.mark.parametrize("chunk", [2, 1_000, 10**7])
def test_a_window_is_what_the_same_samples_are_alone(predictor: Predictor, chunk: int) -> None:
    data = pcm(0.5)
    found = windows(predictor, data, chunk, window_seconds=0.3, hop_seconds=0.1)
    assert [(w.start_seconds, w.end_seconds) for w in found] == [(0, 0.3), (0.1, 0.4), (0.2, 0.5)]
    samples = np.frombuffer(data, dtype="<i2").astype(np.float32) / 32_768
    alone = predictor.predict_samples(samples[1_600:6_400], about=About(), name="x")
    assert found[1].prediction is not None
    assert found[1].prediction.probabilities == pytest.approx(alone.probabilities, abs=1e-5)


def test_what_no_window_had_is_predicted_at_the_end(predictor: Predictor) -> None:
    found = windows(predictor, pcm(1.25), 999 * 2, window_seconds=0.5, hop_seconds=0.5)
    assert [(w.start_seconds, w.end_seconds) for w in found] == [(0, 0.5), (0.5, 1), (1, 1.25)]
    # A gap between windows is nobody's.
    gaps = windows(predictor, pcm(1.25), 999 * 2, window_seconds=0.5, hop_seconds=0.75)
    assert [(w.start_seconds, w.end_seconds) for w in gaps] == [(0, 0.5), (0.75, 1.25)]
    assert windows(predictor, b"", 2) == []


def test_silence_has_no_emotion(predictor: Predictor) -> None:
    found = windows(predictor, b"\1\0" * 32_000, 10**6, window_seconds=1, hop_seconds=1)
    assert [window.prediction for window in found] == [None, None]


def test_memory_is_bounded(predictor: Predictor) -> None:
    stream = StreamingPredictor(predictor, StreamConfig(window_seconds=0.1, hop_seconds=60), About())
    for _ in range(100):
        list(stream.feed(b"\0\0" * 16_000))
        assert len(stream._samples) <= 2 * 16_000


def test_half_a_sample(predictor: Predictor) -> None:
    with pytest.raises(AudioError, match="whole 16-bit samples, got 3 bytes"):
        list(StreamingPredictor(predictor, StreamConfig(), About()).feed(b"abc"))


def test_a_window_below_the_threshold_is_uncertain(predictor: Predictor) -> None:
    plain = windows(predictor, pcm(0.3), 1_000, window_seconds=0.3)[0].prediction
    assert plain is not None
    top = max(plain.probabilities.values())
    for threshold, expected in ((top - 1e-6, plain.prediction), (min(1.0, top + 1e-6), "uncertain")):
        found = windows(predictor, pcm(0.3), 1_000, window_seconds=0.3, uncertain_below=threshold)[0].prediction
        assert found is not None
        assert found.prediction == expected
        assert found.probabilities == plain.probabilities
