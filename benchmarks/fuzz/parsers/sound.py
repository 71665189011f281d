"""Recordings as files of any kind, and samples as they are streamed."""

from __future__ import annotations

import io
import random
import struct

import numpy as np
import soundfile

from benchmarks.fuzz.mutation import mutate
from benchmarks.fuzz.parser import Parser, Surroundings, expect
from ser.audio.recordings import SAMPLE_RATE_HZ, decode

_KINDS = (
    *(("WAV", subtype) for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")),
    *(("WAV", subtype) for subtype in ("GSM610", "IMA_ADPCM", "MS_ADPCM")),
    *(("WAVEX", subtype) for subtype in ("PCM_16", "FLOAT")),
    *(("FLAC", subtype) for subtype in ("PCM_S8", "PCM_16", "PCM_24")),
    *(("OGG", subtype) for subtype in ("VORBIS", "OPUS")),
    ("MP3", "MPEG_LAYER_III"), ("AIFF", "PCM_16"), ("AU", "PCM_16"), ("CAF", "PCM_16"), ("W64", "PCM_16"),
    ("RF64", "PCM_16"),
)  # fmt: skip
_MOST_SECONDS = 20.0


def audio(_: Surroundings) -> Parser:
    """`ser.audio.recordings.decode`: what comes back is mono, finite, not silent, and no longer than allowed."""
    seeds = _recordings()

    def take(data: bytes) -> None:
        recording = decode(data, max_seconds=_MOST_SECONDS)
        samples = recording.samples
        expect(samples.dtype == np.float32 and samples.ndim == 1, f"float32 of one dimension, got {samples.shape}")
        expect(bool(np.isfinite(samples).all()), "finite samples")
        expect(0 < recording.seconds <= _MOST_SECONDS + 1, f"at most {_MOST_SECONDS} s, got {recording.seconds}")

    return Parser(lambda rng: mutate(rng, seeds), take)


def pcm(around: Surroundings) -> Parser:
    """A stream: its configuration as floats of any kind, then pieces of samples of any length."""
    from ser.config import parse
    from ser.features import About
    from ser.predictor import Predictor
    from ser.streaming import StreamConfig, StreamingPredictor

    folder = around.plain
    predictor = Predictor(folder.parent, folder.name)
    names = [name for name in StreamConfig.model_fields if name != "adapt"]
    odd = (0.0, -1.0, float("nan"), float("inf"), 1e-9, 1e300, 4_000.0, 192_000.0, 60.0, 0.1, 0.05, 1.0, 1.5)

    def make(rng: random.Random) -> bytes:
        given = [rng.choice(odd) if rng.random() < 0.25 else float("-inf") for _ in names]
        return struct.pack(f"<{len(names)}d", *given) + mutate(rng, [rng.randbytes(rng.choice((0, 1, 2, 3_200)))])

    def take(data: bytes) -> None:
        width = 8 * len(names)
        values = dict(zip(names, struct.unpack(f"<{len(names)}d", data[:width]), strict=True))
        given = {name: value for name, value in values.items() if value != float("-inf")}
        stream = StreamingPredictor(predictor, parse(StreamConfig, given, at="config"), About(), None)
        windows = [*stream.feed(data[width:]), *stream.finish()]
        for window in windows:
            found = window.prediction.probabilities if window.prediction else {}
            expect(bool(np.isfinite(list(found.values())).all()), f"finite probabilities, got {found}")

    return Parser(make, take)


def _recordings() -> list[bytes]:
    """A tenth of a second of a tone in each format, mono and stereo, at three rates."""
    found = []
    for number, (kind, subtype) in enumerate(_KINDS):
        rate_hz = 48_000 if subtype == "OPUS" else (SAMPLE_RATE_HZ, 8_000, 44_100)[number % 3]
        moments = np.arange(rate_hz // 10) / rate_hz
        tone = 0.5 * np.sin(2 * np.pi * 220 * moments)
        samples = np.stack([tone, tone], axis=1) if number % 2 and subtype != "GSM610" else tone
        buffer = io.BytesIO()
        soundfile.write(buffer, samples, rate_hz, format=kind, subtype=subtype)
        found.append(buffer.getvalue())
    return found
