"""What a prediction costs before it is made: whether it may be made in the event loop, where all calls wait for it."""

from __future__ import annotations

import math
import time

import numpy as np

from ser.audio.recordings import SAMPLE_RATE_HZ, Header
from ser.features import About
from ser.predictor import Predictor

LOOP_SECONDS = 0.002
"""Processor time that one call may take in the event loop. A thread costs a call 0.1 ms, and makes others wait less."""
_DECODING_SECONDS = 2e-9
"""Of a sample of 16-bit PCM at the rate of the features, which is only converted and mixed down."""
_FEW_CHANNELS = 2
_LONGEST_PIECE_SECONDS = 10.0
_ROUNDS = 5
_PIECES = 4
_MUCH = 5
_FOLLOW = 0.1


class Cost:
    """What a model takes for a recording, in seconds of processor time.

    Measured on noise of one piece and of a few when the model is opened, then followed as it serves.
    """

    def __init__(self, predictor: Predictor) -> None:
        """Measures; takes some ten predictions, which also make ready what is made at the first."""
        self._piece_samples = predictor.bundle.frontend.piece_samples
        self._scale = 1.0
        self._a_call, self._a_piece = 0.0, math.inf
        if self._piece_samples > _LONGEST_PIECE_SECONDS * SAMPLE_RATE_HZ:
            return  # always in the thread: no need to know more
        self._a_piece = _measured(predictor, self._piece_samples)
        if self._a_piece <= LOOP_SECONDS:
            one, few = self._a_piece, _measured(predictor, _PIECES * self._piece_samples)
            self._a_piece = max(0.0, (few - one) / (_PIECES - 1))
            self._a_call = max(0.0, one - self._a_piece)

    def of(self, header: Header | None) -> float:
        """An estimate of what a recording takes; without end for one that is not cheap to decode.

        Args:
            header: What it says of itself, of a 16-bit PCM WAV; None of all else.
        """
        if header is None or header.rate_hz != SAMPLE_RATE_HZ or header.channels > _FEW_CHANNELS:
            return math.inf
        return self.of_samples(header.frames) + _DECODING_SECONDS * header.frames * header.channels

    def of_samples(self, number: int) -> float:
        """An estimate of what samples take that are decoded."""
        return self._scale * (self._a_call + self._a_piece * -(-number // self._piece_samples))

    def learn(self, estimate: float, took: float) -> None:
        """Follows what a prediction took that was estimated."""
        if 0 < estimate < math.inf:
            self._scale = min(8.0, max(0.25, self._scale * (1 + _FOLLOW * (took / estimate - 1))))


def _measured(predictor: Predictor, samples: int) -> float:
    """The least of a few times."""
    noise = np.random.default_rng(0).standard_normal(samples).astype(np.float32)
    least = math.inf
    for number in range(1 + _ROUNDS):
        started = time.thread_time()
        predictor.predict_samples(noise, about=About(), name="warm-up")
        if number:  # the first makes things ready
            least = min(least, time.thread_time() - started)
        if _MUCH * LOOP_SECONDS < least < math.inf:
            break
    return least
