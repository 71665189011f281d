"""Windows of a stream."""

from __future__ import annotations

import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest

from ser.bundles.bundle import Bundle
from ser.errors import AudioError
from ser.features import About
from ser.predictor import Predictor
from ser.streaming import StreamConfig, StreamingPredictor, Window
from tests.signals import tone, wav


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


@pytest.fixture
def adapting(adaptive: Bundle) -> Predictor:
    return Predictor(adaptive.folder.parent, adaptive.manifest.model_id)


def clips(found: list[Window]) -> list[int | None]:
    return [window.prediction.speaker_clips if window.prediction else None for window in found]


def test_a_stream_adapts_as_it_goes_and_counts_no_sound_twice(adapting: Predictor) -> None:
    data = b"\0\0" * 32_000 + pcm(6.5)
    found = windows(adapting, data, 9_998, window_seconds=2, hop_seconds=0.5)
    starts = [window.start_seconds for window in found]
    # Windows from 0.5 s on have speech; that one counts, and those at 2.5 and 4.5 s.
    assert dict(zip(starts, clips(found), strict=True)) == {
        0: None, 0.5: 0, 1: 1, 1.5: 1, 2: 1, 2.5: 1, 3: 2, 3.5: 2, 4: 2, 4.5: 2, 5: 3, 5.5: 3, 6: 3, 6.5: 3
    }  # fmt: skip
    # A window is what its samples are, predicted with the windows before it that counted.
    samples = np.frombuffer(data, dtype="<i2").astype(np.float32) / 32_768

    def at(seconds: float) -> npt.NDArray[np.float32]:
        return samples[round(seconds * 16_000) : round((seconds + 2) * 16_000)]

    known = adapting.listen(at(0.5)) + adapting.listen(at(2.5))
    alone = adapting.predict_samples(at(4), about=About(), name="x", speaker=known)
    assert found[8].prediction is not None
    assert found[8].prediction.probabilities == pytest.approx(alone.probabilities, abs=1e-5)


def test_a_stream_begins_with_what_is_known_of_its_speaker(adapting: Predictor) -> None:
    config = StreamConfig(window_seconds=1, hop_seconds=1)
    known = adapting.listen_to([wav(tone(2.0)), wav(tone(1.5))])
    given = StreamingPredictor(adapting, config, About(), known)
    assert clips(list(given.feed(pcm(3)))) == [2, 3, 4]
    assert adapting.bundle.adaptation is not None
    name, trained = next(iter(adapting.bundle.adaptation.known.items()))
    by_name = StreamingPredictor(adapting, config, About(speaker=name))
    assert clips(list(by_name.feed(pcm(2)))) == [trained.clips, trained.clips + 1]


def test_a_stream_adapts_only_where_it_may_and_can(adapting: Predictor, predictor: Predictor) -> None:
    data = pcm(3)
    assert clips(windows(adapting, data, 10**6, window_seconds=1, hop_seconds=1, adapt=False)) == [0, 0, 0]
    assert clips(windows(predictor, data, 10**6, window_seconds=1, hop_seconds=1)) == [0, 0, 0]
    # Too short to tell of a voice.
    assert set(clips(windows(adapting, data, 10**6, window_seconds=0.5, hop_seconds=0.5))) == {0}


def test_memory_is_bounded(predictor: Predictor) -> None:
    stream = StreamingPredictor(predictor, StreamConfig(window_seconds=0.1, hop_seconds=60), About())
    for _ in range(100):
        list(stream.feed(b"\0\0" * 16_000))
        assert len(stream._pcm) <= 2 * 2 * 16_000


def test_a_small_message_costs_no_more_when_much_waits(predictor: Predictor) -> None:
    """A window of a minute at 192 kHz is 46 MB as floats: to copy it for each sample that comes would take minutes."""
    stream = StreamingPredictor(predictor, StreamConfig(window_seconds=60, sample_rate_hz=192_000), About())
    for size in (2 * 59 * 192_000, 2):  # once more, so that it has grown
        list(stream.feed(bytes(size)))
    tracemalloc.start()
    for _ in range(1_000):
        list(stream.feed(b"\0\0"))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_work_on_a_window_ends_when_nobody_wants_it(predictor: Predictor) -> None:
    def gone() -> None:
        raise TimeoutError

    stream = StreamingPredictor(predictor, StreamConfig(window_seconds=1), About())
    with pytest.raises(TimeoutError):
        list(stream.feed(pcm(1.5), check=gone))


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
