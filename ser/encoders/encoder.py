"""An encoder, ready to compute: from a recording to frames, by LiteRT, one thread a call."""

from __future__ import annotations

import math
import queue
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser.audio.recordings import SAMPLE_RATE_HZ, Samples
from ser.encoders.catalogue import CatalogueRecord
from ser.encoders.storage import check_encoder
from ser.encoders.whisper import log_mel
from ser.errors import DamagedError
from ser.native_log import without_chatter

Array = npt.NDArray[np.float32]

SILENCE_DB = 40
"""What is quieter than the loudest frame by more, before the first and behind the last that is not, is left out."""
_WINDOW, _HOP = SAMPLE_RATE_HZ // 40, SAMPLE_RATE_HZ // 100
"""Samples of the frames whose loudness is compared: 25 ms, every 10 ms."""
_STEP = math.gcd(_WINDOW, _HOP)
"""Samples whose energy is summed once, however many frames they are in."""


class Encoder:
    """A pretrained encoder. Threads may share it: each computes by an interpreter of its own."""

    def __init__(self, record: CatalogueRecord, network: Path) -> None:
        """Takes the file of a network that has been checked."""
        self.record = record
        self._network = network
        self._idle: queue.SimpleQueue[_Network] = queue.SimpleQueue()

    def __call__(self, samples: Samples) -> Array:
        """The frames of a recording, silence at its ends left out; a long one is heard in stretches of one length.

        Args:
            samples: float32, shape (n,), n > 0, at `ser.audio.recordings.SAMPLE_RATE_HZ`.

        Returns:
            float32, shape (n_frames, channels), at least one frame.

        Raises:
            DamagedError: If LiteRT cannot run the network.
        """
        speech = without_silence(samples)
        count = -(-len(speech) // int(self.record.seconds * SAMPLE_RATE_HZ))
        network = self._take()
        try:
            return np.concatenate([network(log_mel(part)) for part in np.array_split(speech, count)])
        finally:
            self._idle.put(network)

    def _take(self) -> _Network:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            return _Network(self._network)


class _Network:
    """One interpreter; one thread at a time."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter  # an extra, which not every command needs

        self._path = path
        self._frames = 0
        try:
            with without_chatter():  # the first time, LiteRT says on standard error how it computes
                self._interpreter = Interpreter(model_path=str(path), num_threads=1)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise self._damaged(error) from error
        (entry,), (end,) = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._input, self._output = entry["index"], end["index"]

    def __call__(self, spectrum: Array) -> Array:
        try:
            if len(spectrum) != self._frames:
                self._frames = 0
                self._interpreter.resize_tensor_input(self._input, (1, *spectrum.shape), strict=True)
                self._interpreter.allocate_tensors()
                self._frames = len(spectrum)
            self._interpreter.set_tensor(self._input, spectrum[np.newaxis])
            self._interpreter.invoke()
            frames: Array = self._interpreter.get_tensor(self._output)
        except (ValueError, RuntimeError) as error:
            raise self._damaged(error) from error
        return frames

    def _damaged(self, error: Any) -> DamagedError:
        return DamagedError(f"{self._path}: LiteRT cannot run the encoder: {error}")


@lru_cache(maxsize=4)
def load_encoder(record: CatalogueRecord) -> Encoder:
    """An encoder that is on this machine: one for all that ask.

    Raises:
        SerError: As of `ser.encoders.storage.check_encoder`.
    """
    return Encoder(record, check_encoder(record))


def without_silence(samples: Samples) -> Samples:
    """From the first frame to the end of the last that is within `SILENCE_DB` of the loudest.

    Behind its end a recording is silence: what follows of it, as in a piece that is filled with zeros, changes nothing.

    Args:
        samples: float32, shape (n,), n > 0.

    Returns:
        float32, shape (m,): a whole frame at least, the last one filled with zeros; all of it if nothing sounds.
    """
    steps = np.zeros((-(-len(samples) // _STEP), _STEP), dtype=np.float32)
    steps.reshape(-1)[: len(samples)] = samples
    sums = np.concatenate([[0.0], np.cumsum(np.einsum("ij,ij->i", steps, steps), dtype=np.float64)])
    starts = np.arange(-(-len(samples) // _HOP)) * (_HOP // _STEP)
    energy = sums[np.minimum(starts + _WINDOW // _STEP, len(steps))] - sums[starts]
    loud = np.flatnonzero(energy >= energy.max() * 10 ** (-SILENCE_DB / 10))
    first, end = starts[loud[0]] * _STEP, starts[loud[-1]] * _STEP + _WINDOW
    return np.pad(samples[first:end], (0, max(0, end - len(samples))))
