"""Prediction while somebody speaks: samples in as they come, a prediction for each window as soon as it is full.

A model that adapts to speakers gets to know this one as the stream goes on, and predicts a window with what was known
before it: the sound that is judged has no say in what it is judged by, in a stream as in the evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
import soxr
from pydantic import Field

from ser.audio.recordings import SAMPLE_RATE_HZ, Check
from ser.config import Config, Flag, Real
from ser.errors import AudioError
from ser.features import About
from ser.predictor import Prediction, Predictor
from ser.speakers.statistics import SpeakerStatistics, together

SHORTEST_CLIP_SECONDS = 1.0
"""Shorter windows tell too little of a voice to count as a clip of it; EmoDB's shortest clip has 1.2 s."""


class StreamConfig(Config):
    """How to listen."""

    sample_rate_hz: Annotated[Real, Field(ge=4_000, le=192_000)] = float(SAMPLE_RATE_HZ)
    """Samples a second of what comes in."""
    window_seconds: Annotated[Real, Field(ge=0.1, le=60)] = 3.0
    """Length of a window."""
    hop_seconds: Annotated[Real, Field(ge=0.05, le=60)] = 1.0
    """From the start of a window to that of the next."""
    silence_peak: Annotated[Real, Field(ge=0, le=1)] = 0.001
    """A window with no sample above this share of full scale is silence; -60 dB."""
    uncertain_below: Annotated[Real, Field(ge=0, le=1)] = 0.0
    """Least probability of an answer; where the most probable label has less, the prediction is "uncertain"."""
    adapt: Flag = True
    """Let a model that adapts to speakers learn this one's voice from the windows of the stream; right where one
    person speaks. Nothing of it is kept when the stream ends."""


@dataclass(frozen=True)
class Window:
    """A stretch of the stream."""

    start_seconds: float
    end_seconds: float
    prediction: Prediction | None
    """None for silence, which has no emotion: divided by its peak, noise would be taken for speech."""


class StreamingPredictor:
    """Cuts one stream into windows and predicts each. Keeps at most a window and a hop of samples."""

    def __init__(
        self, predictor: Predictor, config: StreamConfig, about: About, enrollment: SpeakerStatistics | None = None
    ) -> None:
        """Listens to one stream.

        Args:
            predictor: The model.
            config: How to listen.
            about: Who speaks and what is said, for models that use it.
            enrollment: Clips of the speaker (`Predictor.listen_to`), besides what is known of `about.speaker`.
        """
        self._predictor = predictor
        self._config = config
        self._about = about
        self._window = max(1, round(config.window_seconds * config.sample_rate_hz))
        self._hop = max(1, round(config.hop_seconds * config.sample_rate_hz))
        self._pcm = bytearray()  # grows by what comes, whatever is there: a message of one sample costs no more
        self._first = 0  # where `_pcm` begins, in samples from the stream's start
        self._start = 0  # where the next window begins
        self._told = 0  # where the last window ended
        self._speaker = together(predictor.known(about.speaker), enrollment)
        self._heard = 0  # where the last window ended that tells of the speaker
        self._adapts = config.adapt and predictor.bundle.adapts and config.window_seconds >= SHORTEST_CLIP_SECONDS

    def feed(self, pcm: bytes, *, check: Check | None = None) -> Iterator[Window]:
        """Takes samples; gives each window that they fill, each predicted when it is asked for.

        Args:
            pcm: Mono, int16, little-endian.
            check: Called between stretches of the work; what it raises ends it.

        Raises:
            AudioError: If half a sample comes.
        """
        if len(pcm) % 2:
            raise AudioError(f"pcm: expected whole 16-bit samples, got {len(pcm)} bytes")
        self._pcm += pcm
        while self._start + self._window <= self._end:
            yield self._predict(self._start, self._start + self._window, check)
            self._start += self._hop
        self._forget()

    def finish(self, *, check: Check | None = None) -> Iterator[Window]:
        """Gives what is left when the stream ends: one shorter window, if samples came that no window had."""
        if self._end > max(self._told, self._start):
            yield self._predict(self._start, self._end, check)

    @property
    def _end(self) -> int:
        return self._first + len(self._pcm) // 2

    def _forget(self) -> None:
        unused = min(max(0, self._start - self._first), len(self._pcm) // 2)
        del self._pcm[: 2 * unused]
        self._first += unused

    def _predict(self, start: int, end: int, check: Check | None) -> Window:
        self._told = end
        integers = np.frombuffer(self._pcm, dtype="<i2", count=end - start, offset=2 * (start - self._first))
        samples = integers.astype(np.float32) / np.float32(32_768)
        del integers  # while it is there, what it looks into cannot grow
        rate_hz = self._config.sample_rate_hz
        seconds = (round(start / rate_hz, 6), round(end / rate_hz, 6))
        if np.abs(samples).max() <= self._config.silence_peak:
            return Window(*seconds, None)
        samples = _resample(samples, rate_hz)
        prediction = self._predictor.predict_samples(
            samples, about=self._about, name="stream", speaker=self._speaker, check=check
        )
        # Windows overlap: one that begins where the last one that was counted ends counts, so no sound counts twice.
        if self._adapts and start >= self._heard and end - start == self._window:
            self._heard = end
            self._speaker = together(self._speaker, self._predictor.listen(samples, check=check))
        return Window(*seconds, prediction.or_uncertain(self._config.uncertain_below))


def _resample(samples: npt.NDArray[np.float32], rate_hz: float) -> npt.NDArray[np.float32]:
    if rate_hz == SAMPLE_RATE_HZ:
        return samples
    length = math.ceil(len(samples) * SAMPLE_RATE_HZ / rate_hz)
    resampled = soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ, quality="HQ")[:length]
    return np.pad(resampled, (0, length - len(resampled))).astype(np.float32, copy=False)
