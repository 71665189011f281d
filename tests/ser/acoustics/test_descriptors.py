from __future__ import annotations

import keras
import numpy as np
import pytest

from ser.acoustics import CHANNELS, delta, describe, describe_all
from ser.acoustics.views import N_BANDS, N_CEPSTRAL, NUM_DERIVED, VIEWS, cosines, derive
from ser.audio.recordings import SAMPLE_RATE_HZ
from ser.features.extractors.functionals import PERCENTILES, Functionals, FunctionalsConfig, functionals
from ser.features.extractors.speech_frames import COLUMNS, SpeechFrames, SpeechFramesConfig
from ser.features.percentiles import percentiles

RNG = np.random.default_rng(5)
TONE = np.sin(2 * np.pi * 1_000 * np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ).astype(np.float32)
SHORT = {
    "one sample": np.ones(1, np.float32),
    "a click": np.eye(1, 4_000, 2_000, dtype=np.float32)[0],
    "three hops": RNG.standard_normal(480).astype(np.float32),
    "a constant": np.full(8_000, 0.5, np.float32),
    "noise": RNG.standard_normal(20_000).astype(np.float32),
    "a tone": TONE,
}


def test_silence_at_the_ends_is_left_out() -> None:
    silence = np.zeros(3_200, np.float32)
    padded = describe(np.concatenate([silence, TONE, silence, silence]))
    np.testing.assert_array_equal(padded.values, describe(TONE).values)


def test_a_tone_is_where_it_sounds() -> None:
    values = describe(TONE).values[5:-5]
    assert values[:, CHANNELS.index("centroid")] == pytest.approx(1_000, rel=0.02)
    assert values[:, CHANNELS.index("roll_off_50%")] == pytest.approx(1_000, abs=32)
    assert values[:, CHANNELS.index("zero_crossings")] == pytest.approx(0.125, rel=0.05)
    assert set(values[:, :64].argmax(axis=1)) <= {21, 22, 23, 24, 25}


def test_twice_as_loud_is_six_decibels_and_nothing_else() -> None:
    noise = SHORT["noise"] / 100
    quiet, loud = describe(noise).values, describe(2 * noise).values
    energy = CHANNELS.index("energy")
    np.testing.assert_allclose(loud[:, energy] - quiet[:, energy], 20 * np.log10(2), atol=1e-3)
    same = [CHANNELS.index(name) for name in ("centroid", "flux", "flatness", "harmonicity", "zero_crossings")]
    np.testing.assert_allclose(loud[:, same], quiet[:, same], rtol=1e-3, atol=1e-3)


def test_a_slope_is_that_of_a_line() -> None:
    line = np.arange(20, dtype=np.float32)[:, None] * [3, -1]
    np.testing.assert_allclose(delta(line.astype(np.float32))[2:-2], np.broadcast_to([3, -1], (16, 2)), rtol=1e-5)


@pytest.mark.parametrize("name", SHORT)
def test_features_of_anything_are_finite(name: str) -> None:
    pieces = np.zeros((1, 20_000), np.float32)
    pieces[0, : len(SHORT[name])] = SHORT[name]
    for extractor in (
        Functionals.create(FunctionalsConfig(), []),
        SpeechFrames.create(SpeechFramesConfig(), []),
    ):
        features = extractor.extract(pieces, [])
        assert features.shape == (1, *extractor.shape(20_000))
        assert np.isfinite(features).all()


def test_pieces_of_one_array_are_described_once() -> None:
    pieces = RNG.standard_normal((2, 4_000)).astype(np.float32)
    assert describe_all(pieces) is describe_all(pieces)
    assert describe_all(pieces.copy()) is not describe_all(pieces)


def test_percentiles_are_numpy_s() -> None:
    channels = RNG.standard_normal((37, 4)).astype(np.float32)
    given = channels.copy()
    found = percentiles(given, PERCENTILES)
    assert (given == channels).all()
    np.testing.assert_allclose(found, np.percentile(channels, PERCENTILES, axis=0), atol=1e-6)


def test_functionals_do_not_depend_on_what_surrounds_the_speech() -> None:
    extractor = Functionals.create(FunctionalsConfig(), [])
    pieces = np.zeros((2, 30_000), np.float32)
    pieces[0, :16_000], pieces[1, 4_800:20_800] = SHORT["noise"][:16_000], SHORT["noise"][:16_000]
    first, second = extractor.extract(pieces, [])
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, functionals(describe(SHORT["noise"][:16_000])))


def test_frames_behind_the_end_are_marked() -> None:
    extractor = SpeechFrames.create(SpeechFramesConfig(), [])
    pieces = np.zeros((1, 16_000), np.float32)
    pieces[0, :8_000] = SHORT["noise"][:8_000]
    (frames,) = extractor.extract(pieces, [])
    speech = frames[:, COLUMNS.index("speech")]
    assert speech.tolist() == [1] * 25 + [0] * 25
    np.testing.assert_array_equal(frames[25:, :-1], np.broadcast_to(frames[24, :-1], (25, len(COLUMNS) - 1)))
    # What is summed of a speaker is of frames of speech alone.
    weight, total, _ = extractor.statistics(frames[None])
    assert set(weight) == {25.0}
    np.testing.assert_allclose(total, derive(frames[None])[0, :25].sum(axis=0, dtype=np.float64), rtol=1e-6)


def test_views_are_the_same_by_numpy_and_by_keras() -> None:
    frames = RNG.standard_normal((2, 9, len(COLUMNS))).astype(np.float32)
    derived = derive(frames)
    assert derived.shape == (2, 9, NUM_DERIVED)
    assert sum(view.stop - view.start for view in VIEWS.values()) == NUM_DERIVED
    np.testing.assert_allclose(np.asarray(derive(keras.ops.convert_to_tensor(frames), keras.ops)), derived, atol=1e-5)
    np.testing.assert_allclose(cosines().T @ cosines(), np.eye(N_CEPSTRAL), atol=1e-6)
    assert cosines().shape == (N_BANDS, N_CEPSTRAL)
