"""An encoder that the user brings: any ONNX graph from samples, or from Whisper's spectrum, to frames.

The graph is data. It is one file, whose digest is known; operations are those of ONNX Runtime, no library of others is
loaded; what it gives is looked at before it is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ser.audio.recordings import SAMPLE_RATE_HZ, Samples
from ser.encoders.catalogue import OnnxRecord
from ser.encoders.encoder import without_silence
from ser.encoders.onnx_graph import OnnxGraph, Value, with_outputs
from ser.encoders.storage import LARGEST_NETWORK_BYTES, check_encoder
from ser.encoders.whisper import HOP, N_BANDS, log_mel
from ser.errors import Code, ConfigError, FieldViolation, SerError
from ser.extras import require
from ser.storage.stored_file import read_file

Array = npt.NDArray[np.float32]

BANDS = (N_BANDS, 128)
"""Of Whisper's spectrum; the second is of its large models."""
MOST_CHANNELS = 1 << 16
"""Numbers that a frame may have."""
_VARIANCE_FLOOR = np.float32(1e-7)
_TRIAL_SECONDS = (1.0, 2.0)
_NAMED = 10
"""How many outputs a message names."""


class EncoderError(SerError):
    """An encoder cannot be run, or gives what are no frames."""

    code = Code.FAILED_PRECONDITION


@dataclass(frozen=True)
class Hearing:
    """How a graph is given a recording, and what is read of it."""

    outputs: tuple[str | int, ...]
    """Names of values, or numbers of outputs from 0: frames, side by side."""
    input: str
    """`samples`, `log_mel`, or `auto`, as the graph's input shows."""
    unit_variance: bool
    """Whether samples are brought to a mean of zero and a variance of one first."""
    seconds: float
    """The longest stretch that it hears at once."""
    filled: bool
    """Whether a stretch is filled with silence to that length."""


@dataclass(frozen=True)
class _Entry:
    """The graph's input, as it is understood."""

    value: Value
    log_mel: bool
    bands: int = 0
    bands_first: bool = True
    length: int | None = None
    """Samples or frames, where the graph takes no other number."""


class OnnxEncoder:
    """A graph, ready to compute. Threads may share it."""

    def __init__(self, record: OnnxRecord, hearing: Hearing) -> None:
        """Opens the graph.

        Raises:
            MissingEncoderError: If its file is not on this machine.
            MissingExtraError: If ONNX Runtime is not installed.
            DamagedError: If the file is altered, or no ONNX file that can be used.
            ConfigError: If the graph has no such input or outputs; fields are those of `Hearing`.
            EncoderError: If ONNX Runtime cannot run it.
        """
        path = check_encoder(record)
        require("an ONNX encoder", "onnx")
        content = read_file(path, at_most=LARGEST_NETWORK_BYTES)
        graph = OnnxGraph(content, record.name)
        self.record = record
        self._hearing = hearing
        self._entry, self._masks = _entry(graph, hearing)
        self._names = [_output(graph, one) for one in hearing.outputs]
        given = {value.name for value in graph.outputs}
        self._session = _session(
            with_outputs(content, [one for one in dict.fromkeys(self._names) if one not in given]), record.name
        )
        unit = HOP if self._entry.log_mel else 1
        fixed = self._entry.length
        self._stretch = fixed * unit if fixed else int(hearing.seconds * SAMPLE_RATE_HZ)
        self._filled = bool(fixed) or hearing.filled

    def __call__(self, samples: Samples) -> Array:
        """The frames of a recording, silence at its ends left out; a long one is heard in stretches of one length.

        Args:
            samples: float32, shape (n,), n > 0, at `ser.audio.recordings.SAMPLE_RATE_HZ`.

        Returns:
            float32, shape (n_frames, channels), at least one frame.

        Raises:
            EncoderError: If the graph cannot be run on it, or gives what are no frames.
        """
        speech = without_silence(samples)
        parts = np.array_split(speech, -(-len(speech) // self._stretch))
        return np.concatenate([self._hear(part) for part in parts])

    def channels(self) -> int:
        """How many numbers a frame has, by a trial.

        Raises:
            EncoderError: If it gives no frames, or as many whatever the length of what it hears.
        """
        random = np.random.default_rng(0)
        noise = random.uniform(-0.1, 0.1, int(max(_TRIAL_SECONDS) * SAMPLE_RATE_HZ)).astype(np.float32)
        found = [self._hear(noise[: int(seconds * SAMPLE_RATE_HZ)][: self._stretch]) for seconds in _TRIAL_SECONDS]
        lengths = [len(frames) for frames in found]
        if min(self._stretch, len(noise)) > SAMPLE_RATE_HZ and lengths[0] == lengths[1]:
            raise self._error(f"gives {lengths[0]} frames for one second and for two; expected frames, more for more")
        return int(found[0].shape[1])

    def _hear(self, part: Samples) -> Array:
        if self._hearing.unit_variance:
            part = unit_variance(part)
        heard = np.pad(part, (0, self._stretch - len(part))) if self._filled else part
        entry = self._entry
        if entry.log_mel:
            spectrum = log_mel(heard, entry.bands)[: entry.length]
            given: Array = spectrum.T if entry.bands_first else spectrum
            count = len(spectrum)
        else:
            given, count = heard, len(heard)
        given = given.reshape((1,) * (len(entry.value.shape) - given.ndim) + given.shape)
        feeds = {entry.value.name: np.ascontiguousarray(given, dtype=entry.value.dtype)}
        feeds |= {mask.name: np.ones((1, count), dtype=mask.dtype) for mask in self._masks}
        frames = self._run(feeds)
        return frames[: max(1, math.ceil(len(frames) * len(part) / len(heard)))]

    def _run(self, feeds: dict[str, npt.NDArray[Any]]) -> Array:
        try:
            found = self._session.run(self._names, feeds)
        except _runtime_errors() as error:
            raise self._error(f"cannot be run: {_one_line(error)}") from error
        batched = len(self._entry.value.shape) > 1
        parts = [self._frames(name, np.asarray(one), batched) for name, one in zip(self._names, found, strict=True)]
        counts = {len(part) for part in parts}
        if len(counts) > 1:
            raise self._error(f"gives {sorted(counts)} frames by its outputs; expected as many by each")
        frames = np.concatenate(parts, axis=1)
        if frames.shape[1] > MOST_CHANNELS:
            raise self._error(f"gives frames of {frames.shape[1]} numbers; expected at most {MOST_CHANNELS}")
        return frames

    def _frames(self, name: str, found: npt.NDArray[Any], batched: bool) -> Array:
        frames = found[0] if batched and found.ndim == 3 and len(found) == 1 else found
        if found.ndim != 2 + batched or frames.ndim != 2 or found.dtype.kind != "f" or not frames.size:
            expected = "(1, frames, channels)" if batched else "(frames, channels)"
            raise self._error(
                f"gives no frames: expected {name!r} of shape {expected}, got {found.dtype} {found.shape}"
            )
        if not np.isfinite(frames).all():
            raise self._error(f"gives numbers that are not finite, by {name!r}")
        return frames.astype(np.float32, copy=False)

    def _error(self, what: str) -> EncoderError:
        return EncoderError(f"the encoder {self.record.name} {what}")


@lru_cache(maxsize=4)
def load_onnx(record: OnnxRecord, hearing: Hearing) -> OnnxEncoder:
    """An encoder that is on this machine: one for all that ask. Raises as `OnnxEncoder`."""
    return OnnxEncoder(record, hearing)


def unit_variance(samples: Samples) -> Samples:
    """Samples less their mean, over their deviation: float32, the same shape."""
    centred = samples - samples.mean()
    scaled: Samples = centred / np.sqrt(np.square(centred).mean() + _VARIANCE_FLOOR)
    return scaled


def _entry(graph: OnnxGraph, hearing: Hearing) -> tuple[_Entry, tuple[Value, ...]]:
    """The input that takes the recording, and those that say which of it counts."""
    whole = ("int32", "int64", "bool")
    masks = tuple(one for one in graph.inputs if "attention_mask" in one.name and one.dtype in whole)
    rest = [one for one in graph.inputs if one not in masks]
    if len(rest) != 1:
        raise _refused("weights", "a graph with one input, for the recording", ", ".join(map(str, rest)) or "none")
    (value,) = rest
    free = [length if length != 1 else None for length in value.shape]
    if value.dtype not in ("float16", "float32", "float64") or not 1 <= len(free) <= 3:
        raise _refused("weights", "an input of floats, (batch, samples) or (batch, bands, frames)", str(value))
    bands = _bands(graph, value)
    is_spectrum = hearing.input == "log_mel" or (hearing.input == "auto" and len(bands) == 1)
    is_samples = hearing.input == "samples" or (hearing.input == "auto" and len(free) < 3)
    if is_spectrum and len(free) == 3:
        axis, count = next(iter(bands.items()), (1, N_BANDS))
        return _Entry(value, True, count, axis == 1, free[3 - axis]), masks
    if is_samples and (len(free) < 3 or value.shape[1] == 1):
        return _Entry(value, False, length=free[-1]), masks
    raise _refused(
        "input",
        "'samples' for (batch, samples), 'log_mel' for (batch, bands, frames) or (batch, frames, bands), where bands "
        f"are {' or '.join(map(str, BANDS))}; {hearing.input!r} does not fit",
        str(value),
    )


def _bands(graph: OnnxGraph, value: Value) -> dict[int, int]:
    """Which axes of an input may be the bands of a spectrum, and how many these are."""
    if len(value.shape) != 3:
        return {}
    found = {axis: length for axis in (1, 2) if (length := value.shape[axis]) in BANDS and length}
    # Where the file does not say it, the weights of the convolution over time do.
    convolved = graph.channels_convolved(value.name)
    return found or ({1: convolved} if convolved in BANDS and value.shape[1] is None else {})


def _output(graph: OnnxGraph, wanted: str | int) -> str:
    names = [value.name for value in graph.outputs]
    if isinstance(wanted, int) and wanted < len(names):
        return names[wanted]
    if isinstance(wanted, str) and (wanted in names or graph.gives(wanted)):
        return wanted
    there = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    raise _refused("outputs", f"names of values of the graph, or numbers of its {len(names)} outputs, {there}", wanted)


def _refused(field: str, expected: str, got: object) -> ConfigError:
    return ConfigError([FieldViolation(field, f"expected {expected}, got {got}")])


def _session(content: bytes, name: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # its exceptions say it too
    options.add_session_config_entry("session.load_model_format", "ONNX")  # not its own
    there = onnxruntime.get_available_providers()
    providers = [one for one in ("CUDAExecutionProvider", "CPUExecutionProvider") if one in there]
    try:
        return onnxruntime.InferenceSession(content, options, providers=providers)
    except _runtime_errors() as error:
        raise EncoderError(f"the encoder {name} cannot be run: {_one_line(error)}") from error


def _runtime_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: classes of its own, which have no common one."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [one for one in vars(state).values() if isinstance(one, type) and issubclass(one, Exception)]
    return (*own, ValueError, RuntimeError)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
