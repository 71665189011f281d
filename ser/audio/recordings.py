"""Recordings in, samples out: decoding, mixing down, resampling, checking.

Everything in SER past this file sees mono float32 at `SAMPLE_RATE_HZ`. Neither librosa nor TensorFlow is
imported here: the serving process uses the same code.
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

LEAST_RATE_HZ, MOST_RATE_HZ = 1_000, 768_000
"""Sampling rates that are taken. Nobody records speech at less or at more; a header that claims 1 Hz turns 600 samples
into ten minutes."""
MAX_DECODED_SAMPLES = 1 << 27
"""Most samples, of all channels together, that a recording may decode to: 512 MB as float32. Ten minutes in stereo at
96 kHz are less; a compressed file of 255 channels of silence is more."""
_BLOCK_SAMPLES = 1 << 22
"""Samples that are in memory before they are mixed down: 16 MB."""
_FEW_CHANNELS = 8
_MOST_CHUNKS = 64
"""Chunks of a WAV up to its samples; programs write a handful, and each costs a step of a loop."""
_MAGIC = (b"RIFF", b"fLaC", b"OggS", b"ID3")
"""How a WAV, a FLAC, an OGG and a tagged MP3 begin; an MP3 without a tag begins with eleven bits that are set."""

_SCALES = {
    np.dtype(kind): scale
    for kind, scale in ((np.float32, 1.0), (np.float64, 1.0), (np.int16, 2.0**15), (np.int32, 2.0**31))
}
"""Types of samples that are taken as arrays, and what is 1 there."""

Samples = npt.NDArray[np.float32]
Check = Callable[[], object]
"""Called between two stretches of work; what it raises ends the work."""


@dataclass(frozen=True)
class Header:
    """What a recording says of itself before it is decoded."""

    rate_hz: int
    channels: int
    frames: int
    """Samples of each channel."""
    samples_at: int | None = None
    """Where the samples of a 16-bit PCM WAV begin; None for all that libsndfile decodes."""

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.frames / self.rate_hz


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


def decode(
    data: bytes,
    *,
    name: str = "audio",
    max_seconds: float = MAX_SECONDS,
    max_samples: int = MAX_DECODED_SAMPLES,
    check: Check | None = None,
) -> Recording:
    """Decodes WAV (8 to 32 bit, float), FLAC, OGG (Vorbis, Opus) or MP3.

    Channels are averaged; other rates are resampled to `SAMPLE_RATE_HZ`. A recording is refused unless, in
    this order, it is: not empty, in a known format, not cut short, of a plausible rate, no longer than `max_seconds`,
    no more than `max_samples`, long enough for one sample, finite, and not silent. Memory stays within some four times
    what comes out, whatever the header says.

    Args:
        data: The encoded bytes.
        name: What to call the recording in errors.
        max_seconds: Longest duration taken, in seconds.
        max_samples: Most samples taken, of all channels together.
        check: Called between blocks of samples; what it raises ends the work.

    Raises:
        AudioError: If it is refused; the message starts with `name`.
        LimitError: If it is longer than `max_seconds`, or more than `max_samples`.
    """
    header = wave_header(data, name=name)
    if header is not None and header.samples_at is not None:
        _check_header(header, name, max_seconds, max_samples)
        samples = _read_pcm16(data, header)
    else:
        header, samples = _decode(data, name, max_seconds, max_samples, check)
        _check_finite(samples, name)
    return _checked(samples, header, name)


def of_samples(
    samples: npt.NDArray[Any],
    sample_rate_hz: float,
    *,
    name: str = "audio",
    max_seconds: float = MAX_SECONDS,
    max_samples: int = MAX_DECODED_SAMPLES,
) -> Recording:
    """A recording whose samples are in memory, as a library for audio files gives them.

    It is refused for what `decode` refuses.

    Args:
        samples: Shape (n,) or (n, channels). Floats from -1 to 1, or whole numbers of 16 or 32 bits.
        sample_rate_hz: Samples a second, a whole number.
        name: What to call the recording in errors.
        max_seconds: Longest duration taken, in seconds.
        max_samples: Most samples taken, of all channels together.

    Raises:
        AudioError: If it is refused; the message starts with `name`.
        LimitError: If it is longer than `max_seconds`, or more than `max_samples`.
    """
    given = np.asarray(samples)
    if given.dtype not in _SCALES or given.ndim not in (1, 2) or (given.ndim == 2 and not given.shape[1]):
        expected = "samples of shape (n,) or (n, channels), floats or whole numbers of 16 or 32 bits"
        raise AudioError(f"{name}: expected {expected}, got {given.dtype} of shape {given.shape}")
    if not float(sample_rate_hz).is_integer():
        raise AudioError(f"{name}: expected a whole number of samples a second, got {sample_rate_hz:g}")
    header = Header(int(sample_rate_hz), given.shape[1] if given.ndim == 2 else 1, len(given))
    _check_header(header, name, max_seconds, max_samples)
    scaled = (given / _SCALES[given.dtype]).astype(np.float32)
    samples = _mix_down(scaled.reshape(len(given), header.channels))
    _check_finite(samples, name)
    return _checked(samples, header, name)


def _check_finite(samples: Samples, name: str) -> None:
    if not np.isfinite(samples).all():
        raise AudioError(f"{name}: expected finite samples, got NaN or infinity among them")


def _checked(samples: Samples, header: Header, name: str) -> Recording:
    """The recording, of finite samples at a rate and of a length that are taken."""
    if samples.size == 0:
        raise AudioError(f"{name}: expected a recording, got one without any samples")
    if not samples.any():
        raise AudioError(f"{name}: expected speech, got silence (every sample is zero)")
    resampled = _resample(samples, header.rate_hz)
    if resampled is not samples and not np.isfinite(resampled).all():
        raise AudioError(f"{name}: expected samples from -1 to 1 or near that, got ones so large that they overflow")
    return Recording(resampled, header.rate_hz, header.channels)


def wave_header(data: bytes, *, name: str = "audio") -> Header | None:
    """The header of a WAV of 16-bit PCM, as corpora are made of; None for all else, which libsndfile reads.

    Takes some microseconds, whatever is in the file.

    Args:
        data: The encoded bytes.
        name: What to call the recording in errors.

    Raises:
        AudioError: If there is nothing; if a WAV of any kind is cut short, which libsndfile passes over; or if it does
            not come to its samples. A length of 0 or 0xFFFFFFFF is how programs that write into a pipe say that they do
            not know it.
    """
    if not data:
        raise AudioError(f"{name}: expected a recording, got an empty file")
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return None
    position, pcm16 = 12, None
    for _ in range(_MOST_CHUNKS):
        if position + 8 > len(data):
            raise AudioError(f"{name}: cut short: it ends before its samples begin")
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
            return Header(rate_hz, channels, length // (2 * channels), position)
        position += length + (length & 1)
    raise AudioError(f"{name}: expected the samples of a WAV within its first {_MOST_CHUNKS} chunks")


def header_of(data: bytes, *, name: str = "audio") -> Header:
    """What a recording says of itself; nothing is decoded.

    Args:
        data: The encoded bytes.
        name: What to call the recording in errors.

    Raises:
        AudioError: If it is in no known format, cut short, or of a rate that nobody records at.
    """
    header = wave_header(data, name=name)
    if header is None:
        with _opened(data, name) as source:
            header = _header(source)
    _check_rate(header, name)
    return header


def _decode(
    data: bytes, name: str, max_seconds: float, max_samples: int, check: Check | None
) -> tuple[Header, Samples]:
    """By libsndfile, a block at a time."""
    with _opened(data, name) as source:
        header = _header(source)
        _check_header(header, name, max_seconds, max_samples)
        block = max(1, _BLOCK_SAMPLES // header.channels)
        parts: list[Samples] = []
        for start in range(0, max(1, header.frames), block):
            if check is not None:
                check()
            part = source.read(min(block, header.frames - start), dtype="float32", always_2d=True)
            parts.append(_mix_down(part))
            if len(part) < block:
                break
    samples = parts[0] if len(parts) == 1 else np.concatenate(parts)
    if len(samples) < header.frames:
        raise AudioError(f"{name}: cut short: its header promises {header.frames} samples, it has {len(samples)}")
    return header, samples


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]  # it has no types
    """A file that is read from its beginning to its end.

    soundfile seeks to where it is after each read, which costs time, and loses 100 ms of an MP3.
    """

    def seekable(self) -> bool:
        """As of SoundFile."""
        return False


@contextlib.contextmanager
def _opened(data: bytes, name: str) -> Iterator[soundfile.SoundFile]:
    expected = f"{name}: expected WAV, FLAC, OGG or MP3 that can be decoded"
    # libsndfile knows two dozen formats more, whose parsers nobody needs to meet a stranger's bytes.
    if not data.startswith(_MAGIC) and not (data[:1] == b"\xff" and data[1:2] >= b"\xe0"):
        raise AudioError(f"{expected}; it begins with {data[:4]!r}")
    try:
        with _Sequential(io.BytesIO(data)) as source:
            yield source
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{expected}; the decoder says: {str(error.error_string).rstrip('.')}") from None


def _header(source: soundfile.SoundFile) -> Header:
    return Header(int(source.samplerate), int(source.channels), int(source.frames))


def _check_rate(header: Header, name: str) -> None:
    if not LEAST_RATE_HZ <= header.rate_hz <= MOST_RATE_HZ:
        expected = f"a sampling rate of {LEAST_RATE_HZ} to {MOST_RATE_HZ} Hz"
        raise AudioError(f"{name}: expected {expected}, got {header.rate_hz} Hz")


def _check_header(header: Header, name: str, max_seconds: float, max_samples: int) -> None:
    _check_rate(header, name)
    if header.frames > max_seconds * header.rate_hz:
        raise LimitError(f"{name}: expected at most {max_seconds:g} s, got {header.seconds:.1f} s")
    if header.frames * header.channels > max_samples:
        came = f"{header.channels} channels of {header.frames} samples"
        raise LimitError(f"{name}: expected at most {max_samples} samples of all channels together, got {came}")


def _read_pcm16(data: bytes, header: Header) -> Samples:
    """Several times as fast as libsndfile, which calls back into Python for every block of bytes."""
    count = header.frames * header.channels
    integers = np.frombuffer(data, dtype="<i2", count=count, offset=header.samples_at or 0)
    return _mix_down(integers.reshape(-1, header.channels) * np.float32(1 / 32_768))


def _mix_down(samples: Samples) -> Samples:
    """The mean over the channels: float32, shape (n, channels) to (n,)."""
    if samples.shape[1] == 1:
        return samples[:, 0]
    # In float64, rounded once: a mono recording in two channels stays bit-identical to itself.
    if samples.shape[1] > _FEW_CHANNELS:
        mixed: Samples = samples.mean(axis=1, dtype=np.float64).astype(np.float32)
        return mixed
    # Column by column: a fifth of the time, and the same bits.
    total = samples[:, 0].astype(np.float64)
    for channel in range(1, samples.shape[1]):
        total += samples[:, channel]
    total /= samples.shape[1]
    return total.astype(np.float32)


def _resample(samples: Samples, rate_hz: int) -> Samples:
    """To `SAMPLE_RATE_HZ`, exactly ceil(n * SAMPLE_RATE_HZ / rate_hz) samples."""
    if rate_hz == SAMPLE_RATE_HZ:
        return samples
    length = -(-len(samples) * SAMPLE_RATE_HZ // rate_hz)
    resampled = soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ, quality="HQ")[:length]
    return np.pad(resampled, (0, length - len(resampled))).astype(np.float32, copy=False)
