from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from ser import audio
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
    recording = audio.decode(data)
    assert recording.samples.dtype == np.float32
    assert recording.samples.shape == MONO.shape
    np.testing.assert_allclose(recording.samples, MONO, atol=tolerance)


def test_stereo_is_mixed_down_to_the_mean() -> None:
    recording = audio.decode(wav(np.stack([MONO, np.zeros_like(MONO)], axis=1)))
    assert recording.source_channels == 2
    np.testing.assert_allclose(recording.samples, MONO / 2, atol=1e-4)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled_to_16_khz(rate_hz: int) -> None:
    recording = audio.decode(wav(tone(1.0, rate_hz), rate_hz))
    assert recording.source_rate_hz == rate_hz
    assert len(recording.samples) == 16_000
    # Away from the edges, where the filter rings, it is the same tone.
    np.testing.assert_allclose(recording.samples[800:-800], MONO[800:-800], atol=2e-3)


def test_a_chunk_before_the_samples_is_not_read_as_samples() -> None:
    plain = wav(MONO)
    padded = plain[:36] + b"PAD " + struct.pack("<I", 4096) + b"\x7f" * 4096 + plain[36:]
    padded = padded[:4] + struct.pack("<I", len(padded) - 8) + padded[8:]
    np.testing.assert_array_equal(audio.decode(padded).samples, audio.decode(plain).samples)


def test_a_wav_from_a_pipe_has_no_length_and_is_read() -> None:
    data = bytearray(wav(MONO))
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    assert len(audio.decode(bytes(data)).samples) == len(MONO)


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
        audio.decode(data, name="clip", max_seconds=1.5)


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_a_recording_that_is_too_long_passes_a_limit(subtype: str) -> None:
    with pytest.raises(LimitError, match=r"^clip: expected at most 1.5 s, got 2.0 s"):
        audio.decode(wav(tone(2.0), subtype=subtype), name="clip", max_seconds=1.5)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nowhere\.wav: no such file"):
        audio.read(tmp_path / "nowhere.wav")
