from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from ser.audio import recordings
from ser.errors import AudioError, LimitError, NotFoundError
from tests.signals import tone, wav

MONO = tone(1.0)


@pytest.mark.parametrize(
    ("data", "tolerance"),
    [
        (wav(MONO), 1e-4),
        (wav(MONO, subtype="PCM_24"), 1e-6),
        (wav(MONO, subtype="PCM_32"), 1e-6),
        (wav(MONO, subtype="PCM_U8"), 1e-2),
        (wav(MONO, subtype="FLOAT"), 1e-7),
        (wav(MONO, subtype="DOUBLE"), 1e-7),
        (wav(MONO, kind="FLAC"), 1e-4),
        (wav(MONO, kind="OGG", subtype="VORBIS"), 5e-2),
        (wav(np.stack([MONO, MONO], axis=1)), 1e-4),
    ],
    ids=["16-bit", "24-bit", "32-bit", "8-bit", "float", "double", "flac", "ogg", "stereo"],
)
def test_every_usual_format_decodes_to_the_same_samples(data: bytes, tolerance: float) -> None:
    recording = recordings.decode(data)
    assert recording.samples.dtype == np.float32
    assert recording.samples.shape == MONO.shape
    np.testing.assert_allclose(recording.samples, MONO, atol=tolerance)


def test_stereo_is_mixed_down_to_the_mean() -> None:
    recording = recordings.decode(wav(np.stack([MONO, np.zeros_like(MONO)], axis=1)))
    assert recording.source_channels == 2
    np.testing.assert_allclose(recording.samples, MONO / 2, atol=1e-4)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled_to_16_khz(rate_hz: int) -> None:
    recording = recordings.decode(wav(tone(1.0, rate_hz), rate_hz))
    assert recording.source_rate_hz == rate_hz
    assert len(recording.samples) == 16_000
    # Away from the edges, where the filter rings, it is the same tone.
    np.testing.assert_allclose(recording.samples[800:-800], MONO[800:-800], atol=2e-3)


def test_a_chunk_before_the_samples_is_not_read_as_samples() -> None:
    plain = wav(MONO)
    padded = plain[:36] + b"PAD " + struct.pack("<I", 4096) + b"\x7f" * 4096 + plain[36:]
    padded = padded[:4] + struct.pack("<I", len(padded) - 8) + padded[8:]
    np.testing.assert_array_equal(recordings.decode(padded).samples, recordings.decode(plain).samples)


def test_a_wav_from_a_pipe_has_no_length_and_is_read() -> None:
    data = bytearray(wav(MONO))
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    assert len(recordings.decode(bytes(data)).samples) == len(MONO)


NAN = MONO.copy()
NAN[100] = np.nan


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty file"),
        (b"RIFF", "can be decoded"),
        (b"hello world, this is no audio at all", "can be decoded"),
        (wav(MONO)[:-2], "cut short: its header promises 32000 bytes of samples, it has 31998"),
        (wav(MONO)[:60], "cut short"),
        (wav(MONO)[:36], "cut short: it ends before its samples begin"),
        (wav(MONO, kind="FLAC")[:-400], "cut short|can be decoded"),
        (wav(np.zeros(0)), "without any samples"),
        (wav(np.zeros(16_000)), "silence"),
        (wav(NAN, subtype="FLOAT"), "NaN"),
    ],
    ids=[
        "empty",
        "riff",
        "text",
        "truncated",
        "very truncated",
        "header",
        "flac",
        "none",
        "silent",
        "nan",
    ],
)
def test_what_cannot_be_used_is_refused_by_name(data: bytes, message: str) -> None:
    with pytest.raises(AudioError, match=f"^clip: .*({message})"):
        recordings.decode(data, name="clip", max_seconds=1.5)


def test_samples_that_overflow_where_they_are_resampled_are_refused() -> None:
    loud = np.where(np.arange(800) % 50 < 25, 3.4e38, -3.4e38).astype(np.float32)
    whole = recordings.decode(wav(loud, subtype="FLOAT")).samples
    assert np.isfinite(whole).all()  # nothing to do, nothing to overflow
    with pytest.raises(AudioError, match="^clip: expected samples from -1 to 1 or near that"):
        recordings.decode(wav(loud, rate_hz=8_000, subtype="FLOAT"), name="clip")


@pytest.mark.parametrize(("kind", "subtype"), [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_16")])
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100])
def test_the_longest_recording_is_taken_and_one_sample_more_is_not(kind: str, subtype: str, rate_hz: int) -> None:
    samples = tone(1.5, rate_hz)
    longest = recordings.decode(wav(samples, rate_hz, kind=kind, subtype=subtype), max_seconds=1.5)
    assert longest.seconds == 1.5
    with pytest.raises(LimitError, match="at most 1.5 s, got 1.5 s"):
        recordings.decode(wav(np.append(samples, 0.1), rate_hz, kind=kind, subtype=subtype), max_seconds=1.5)


def test_the_shortest_recording_is_one_sample() -> None:
    assert recordings.decode(wav(np.array([0.5]))).samples.tolist() == [0.5]
    with pytest.raises(AudioError, match="without any samples"):
        recordings.decode(wav(np.zeros(0)))


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_a_recording_that_is_too_long_passes_a_limit(subtype: str) -> None:
    with pytest.raises(LimitError, match=r"^clip: expected at most 1.5 s, got 2.0 s"):
        recordings.decode(wav(tone(2.0), subtype=subtype), name="clip", max_seconds=1.5)


def claiming(rate_hz: int, seconds: float = 0.05) -> bytes:
    """A WAV of 16 kHz whose header claims another rate."""
    data = bytearray(wav(tone(seconds)))
    data[24:28] = struct.pack("<I", rate_hz)
    return bytes(data)


@pytest.mark.parametrize("rate_hz", [1, 999, 768_001, 0xFFFF_FFFF])
def test_a_rate_that_nobody_records_at_is_refused_before_anything_is_resampled(rate_hz: int) -> None:
    with pytest.raises(AudioError, match=f"^clip: expected a sampling rate of 1000 to 768000 Hz, got {rate_hz} Hz"):
        recordings.decode(claiming(rate_hz), name="clip")


@pytest.mark.parametrize(("rate_hz", "samples"), [(1_000, 12_800), (768_000, 17)])
def test_the_lowest_and_the_highest_rate_are_taken(rate_hz: int, samples: int) -> None:
    assert len(recordings.decode(claiming(rate_hz)).samples) == samples


@pytest.mark.parametrize(("kind", "subtype"), [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_16")])
def test_many_channels_are_bounded_by_their_samples_together(kind: str, subtype: str) -> None:
    data = wav(np.stack([MONO] * 8, axis=1), kind=kind, subtype=subtype)
    assert recordings.decode(data, max_samples=8 * len(MONO)).source_channels == 8
    with pytest.raises(LimitError, match="^clip: expected at most 127999 samples .*, got 8 channels of 16000 samples"):
        recordings.decode(data, name="clip", max_samples=8 * len(MONO) - 1)


@pytest.mark.parametrize(("kind", "subtype"), [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")])
def test_a_recording_decodes_to_the_same_samples_in_blocks_and_asks_between_them(
    kind: str, subtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = wav(np.stack([tone(3.0), tone(3.0, hertz=300)], axis=1), kind=kind, subtype=subtype)
    whole = recordings.decode(data).samples
    asked: list[None] = []
    monkeypatch.setattr(recordings, "_BLOCK_SAMPLES", 20_000)
    np.testing.assert_allclose(recordings.decode(data, check=lambda: asked.append(None)).samples, whole, atol=1e-6)
    assert len(asked) > 4


def test_a_wav_of_a_million_chunks_is_refused_after_a_few() -> None:
    plain = wav(MONO)
    few, many = (plain[:36] + b"JUNK\0\0\0\0" * number + plain[36:] for number in (60, 1_000_000))
    assert len(recordings.decode(few).samples) == len(MONO)
    with pytest.raises(AudioError, match="^clip: expected the samples of a WAV within its first 64 chunks"):
        recordings.decode(many, name="clip")


def test_formats_that_are_not_promised_are_not_opened() -> None:
    with pytest.raises(AudioError, match="^clip: expected WAV, FLAC, OGG or MP3"):
        recordings.decode(wav(MONO, kind="AIFF"), name="clip")


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [("WAV", "PCM_16"), ("WAV", "PCM_24"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")],
)
def test_a_header_tells_the_length_without_decoding(kind: str, subtype: str) -> None:
    header = recordings.header_of(wav(tone(2.0, 32_000), 32_000, kind=kind, subtype=subtype))
    assert (header.rate_hz, header.channels, header.seconds) == (32_000, 1, pytest.approx(2, abs=0.1))


@pytest.mark.parametrize("data", [b"", b"\xff", b"RIFF", b"OggS", b"fLaC", b"ID3", b"\xff\xfb", b"x"])
def test_what_is_hardly_there_has_no_header(data: bytes) -> None:
    with pytest.raises(AudioError, match="^clip: "):
        recordings.header_of(data, name="clip")


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nowhere\.wav: no such file"):
        recordings.read(tmp_path / "nowhere.wav")


@pytest.mark.parametrize(("dtype", "full_scale"), [("float32", 1), ("float64", 1), ("int16", 2**15), ("int32", 2**31)])
def test_samples_in_memory_are_what_their_file_says(dtype: str, full_scale: int) -> None:
    whole = np.round(tone(0.5, 8_000) * 2**14) / 2**15  # half of what there is, which every kind can say
    told = recordings.of_samples((whole * full_scale).astype(dtype), 8_000)
    np.testing.assert_array_equal(told.samples, recordings.decode(wav(whole, 8_000)).samples)
    assert (told.source_rate_hz, told.source_channels) == (8_000, 1)
    assert np.abs(told.samples).max() == pytest.approx(np.abs(whole).max(), rel=0.05)


def test_channels_in_memory_are_averaged_and_bounded() -> None:
    left = tone(0.5)
    both = np.stack([left, np.zeros_like(left)], axis=1)
    told = recordings.of_samples(both, 16_000, max_samples=both.size)
    np.testing.assert_allclose(told.samples, left / 2, atol=1e-6)
    assert told.source_channels == 2
    with pytest.raises(LimitError, match="samples of all channels together"):
        recordings.of_samples(both, 16_000, max_samples=both.size - 1)
