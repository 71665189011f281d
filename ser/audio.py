"""Recordings in, samples out: decoding, mixing down, resampling, checking.

Everything in SER past this file sees mono float32 at `SAMPLE_RATE_HZ`. Neither librosa nor TensorFlow is
imported here: the serving process uses the same code.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from ser.errors import AudioError, LimitError, NotFoundError

SAMPLE_RATE_HZ = 16_000
"""The rate at which all features are computed; EmoDB's own."""
SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3"})
"""File name endings, in lower case, of what is taken for a recording in a folder."""
MAX_SECONDS = 600.0
"""Longest recording that `decode` takes by default: emotion is a matter of utterances."""

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Recording:
    """A decoded recording."""

    samples: Samples
    """float32, shape (n_samples,), mono at `SAMPLE_RATE_HZ`, finite, not all zero."""
    source_rate_hz: int
    """Sampling rate of the source, in Hz."""
    source_channels: int
    """Channels of the source."""

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / SAMPLE_RATE_HZ


def read(path: Path, *, max_seconds: float = MAX_SECONDS) -> Recording:
    """Decodes a file.

    Raises:
        NotFoundError: If there is no such file.
        AudioError: As `decode`.
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise NotFoundError(f"{path}: no such file") from None
    return decode(data, name=str(path), max_seconds=max_seconds)


def decode(data: bytes, *, name: str = "audio", max_seconds: float = MAX_SECONDS) -> Recording:
    """Decodes WAV (8 to 32 bit, float), FLAC, OGG (Vorbis, Opus) or MP3.

    Channels are averaged; other rates are resampled to `SAMPLE_RATE_HZ`. A recording is refused unless, in
    this order, it is: not empty, in a known format, not cut short, long enough for one sample and no longer
    than `max_seconds`, finite, and not silent.

    Args:
        data: The encoded bytes.
        name: What to call the recording in errors.
        max_seconds: Longest duration taken, in seconds.

    Raises:
        AudioError: If it is refused; the message starts with `name`.
        LimitError: If it is longer than `max_seconds`.
    """
    if not data:
        raise AudioError(f"{name}: expected a recording, got an empty file")
    wave = _read_wave(data, name, max_seconds)
    samples, rate_hz, channels = wave or _decode(io.BytesIO(data), name, max_seconds)
    if samples.size == 0:
        raise AudioError(f"{name}: expected a recording, got one without any samples")
    if not np.isfinite(samples).all():
        raise AudioError(f"{name}: expected finite samples, got NaN or infinity among them")
    if not samples.any():
        raise AudioError(f"{name}: expected speech, got silence (every sample is zero)")
    return Recording(_resample(samples, rate_hz), rate_hz, channels)


Decoded = tuple[Samples, int, int]
"""Mono samples, the source's rate in Hz, the source's channels."""


def _decode(file: BinaryIO, name: str, max_seconds: float) -> Decoded:
    """By libsndfile."""
    try:
        with soundfile.SoundFile(file) as source:
            rate_hz, channels, expected = int(source.samplerate), int(source.channels), int(source.frames)
            _check_length(expected, rate_hz, name, max_seconds)
            samples = source.read(dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        reason = str(error.error_string).rstrip(".")
        raise AudioError(
            f"{name}: expected WAV, FLAC, OGG or MP3 that can be decoded; the decoder says: {reason}"
        ) from None
    if len(samples) < expected:
        raise AudioError(f"{name}: cut short: its header promises {expected} samples, it has {len(samples)}")
    return _mix_down(samples), rate_hz, channels


def _read_wave(data: bytes, name: str, max_seconds: float) -> Decoded | None:
    """A WAV of 16-bit PCM, as corpora are made of; None for all else, which libsndfile reads.

    Several times as fast as libsndfile, which calls back into Python for every block of bytes.

    Raises:
        AudioError: If a WAV of any kind is cut short, which libsndfile passes over. A length of 0 or 0xFFFFFFFF
            is how programs that write into a pipe say that they do not know it.
        LimitError: If it is too long.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return None
    position, pcm16 = 12, None
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        position += 8
        if kind == b"fmt " and length >= 16 and position + 16 <= len(data):
            encoding, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", data, position)
            pcm16 = (rate_hz, channels) if (encoding, bits) == (1, 16) and channels and rate_hz else None
        if kind == b"data":
            if length in (0, 0xFFFF_FFFF):
                return None
            if position + length > len(data):
                raise AudioError(
                    f"{name}: cut short: its header promises {length} bytes of samples, it has {len(data) - position}"
                )
            if pcm16 is None:
                return None
            rate_hz, channels = pcm16
            _check_length(length // (2 * channels), rate_hz, name, max_seconds)
            integers = np.frombuffer(data, dtype="<i2", count=length // (2 * channels) * channels, offset=position)
            return _mix_down(integers.reshape(-1, channels) * np.float32(1 / 32_768)), rate_hz, channels
        position += length + (length & 1)
    raise AudioError(f"{name}: cut short: it ends before its samples begin")


def _check_length(samples: int, rate_hz: int, name: str, max_seconds: float) -> None:
    if samples > max_seconds * rate_hz:
        raise LimitError(f"{name}: expected at most {max_seconds:g} s, got {samples / rate_hz:.1f} s")


def _mix_down(samples: Samples) -> Samples:
    """The mean over the channels: float32, shape (n, channels) to (n,)."""
    if samples.shape[1] == 1:
        return samples[:, 0]
    # In float64, rounded once: a mono recording in two channels stays bit-identical to itself.
    mixed: Samples = samples.mean(axis=1, dtype=np.float64).astype(np.float32)
    return mixed


def _resample(samples: Samples, rate_hz: int) -> Samples:
    """To `SAMPLE_RATE_HZ`, exactly ceil(n * SAMPLE_RATE_HZ / rate_hz) samples."""
    if rate_hz == SAMPLE_RATE_HZ:
        return samples
    length = -(-len(samples) * SAMPLE_RATE_HZ // rate_hz)
    resampled = soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ, quality="HQ")[:length]
    return np.pad(resampled, (0, length - len(resampled))).astype(np.float32, copy=False)
