from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ser.encoders import Encoder
from ser.encoders.catalogue import CatalogueRecord
from ser.encoders.encoder import without_silence
from ser.encoders.storage import check_encoder, make_encoder
from ser.encoders.whisper import log_mel
from ser.errors import DamagedError
from tests.signals import tone
from tests.tiny_whisper import encode, tiny_variables


@pytest.fixture
def encoder(record: CatalogueRecord, weights: bytes) -> Encoder:
    make_encoder(record, weights, "tiny")
    return Encoder(record, check_encoder(record))


def chirp(seconds: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(round(16_000 * seconds))
    return (tone(seconds) + 0.05 * noise).astype(np.float32)


def test_silence_at_both_ends_is_left_out_and_nothing_between() -> None:
    sound, pause = chirp(0.5), np.zeros(8_000, np.float32)
    clip = np.concatenate([pause, sound, pause, sound, pause])
    found = without_silence(clip)
    # The first frame that reaches into the sound begins at 7,680, the last at 31,840, which is 400 samples long.
    np.testing.assert_array_equal(found, clip[7_680:32_240])


@pytest.mark.parametrize(("quieter", "kept"), [(0.02, True), (0.005, False)])
def test_forty_decibels_below_the_loudest_is_silence(quieter: float, kept: bool) -> None:
    clip = np.concatenate([tone(0.5) * quieter, tone(0.5)]).astype(np.float32)
    assert (len(without_silence(clip)) > 12_000) == kept


@pytest.mark.parametrize("clip", [np.zeros(5_000, np.float32), np.full(100, 0.5, np.float32), np.ones(1, np.float32)])
def test_what_has_no_silence_to_leave_out_stays_whole(clip: np.ndarray) -> None:
    found = without_silence(clip)
    np.testing.assert_array_equal(found[: len(clip)], clip)
    assert not found[len(clip) :].any()
    assert len(found) - len(clip) < 400


def test_a_recording_is_heard_at_its_own_length_whatever_silence_is_around(encoder: Encoder) -> None:
    sound = chirp(0.8)
    frames = encoder(sound)
    expected = encode(tiny_variables(), log_mel(without_silence(sound)))
    assert frames.shape == expected.shape == (41, encoder.record.channels)
    assert np.abs(frames - expected).mean() < 0.03 * np.abs(expected).mean()
    np.testing.assert_array_equal(encoder(np.pad(sound, (0, 30_000))), frames)


def test_a_long_recording_is_heard_in_stretches_of_one_length(encoder: Encoder) -> None:
    clip = chirp(61.0)
    parts = np.array_split(without_silence(clip), 3)
    expected = np.concatenate([encode(tiny_variables(), log_mel(part)) for part in parts])
    frames = encoder(clip)
    assert frames.shape == expected.shape
    assert np.abs(frames - expected).mean() < 0.03 * np.abs(expected).mean()


def test_threads_may_share_it(encoder: Encoder) -> None:
    clips = [chirp(0.3 + number / 50, number) for number in range(12)]
    alone = [encoder(clip) for clip in clips]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(encoder, clips))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_file_that_litert_cannot_run_is_told(record: CatalogueRecord, tmp_path) -> None:
    (tmp_path / "no.tflite").write_bytes(b"no network")
    with pytest.raises(DamagedError, match=r"no\.tflite: LiteRT cannot run the encoder"):
        Encoder(record, tmp_path / "no.tflite")(chirp(0.1))
