"""Encoders that papers compare against those of SER, on the same clip, one core each: how many times as long they take.

    python -m benchmarks.encoder_speed --seconds 3

Their weights are random numbers, for speed does not depend on what the weights are: the graphs have the layers of the
architectures, 32-bit numbers, and are made by `onnx`'s helper. WavLM's gated position bias is left out, which makes it
faster than it is. All go through the code of `SpeechEncoder`: samples in, frames out. The two take turns, and the ratio
is of each pair. The large ones want 8 GB of memory.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console
from rich.table import Table

from ser.encoders import ENCODERS, load_encoder
from ser.encoders.catalogue import OnnxRecord
from ser.encoders.onnx_encoder import Hearing, OnnxEncoder
from ser.encoders.storage import ROOT_VARIABLE, install_network, remove_encoder

Hear = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]

_OPSET, _IR = 20, 9
_HEAD = 64
_HEARING = Hearing(outputs=(0,), input="auto", unit_variance=False, seconds=30.0, filled=False)


@dataclass(frozen=True)
class Architecture:
    """An encoder of blocks of attention."""

    title: str
    width: int
    blocks: int
    whisper: bool = False


ARCHITECTURES = {
    "base": Architecture("wav2vec2, HuBERT, WavLM base, emotion2vec", 768, 12),
    "large": Architecture("wav2vec2, HuBERT, WavLM large", 1_024, 24),
    "whisper-base": Architecture("Whisper base, all blocks, 30 s", 512, 6, whisper=True),
    "whisper-medium": Architecture("Whisper medium, all blocks, 30 s", 1_024, 24, whisper=True),
}


def main() -> None:
    """Prints a row for each architecture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", nargs="+", choices=ARCHITECTURES, default=list(ARCHITECTURES))
    parser.add_argument("--ours", choices=ENCODERS, default="whisper-base")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    clip = np.random.default_rng(0).uniform(-1, 1, round(arguments.seconds * 16_000)).astype(np.float32)
    ours = load_encoder(ENCODERS[arguments.ours])
    title = f"{arguments.seconds:g} s, one core, {arguments.rounds} rounds, medians"
    table = Table("encoder", "ms", f"{arguments.ours} (ms)", "ratio", title=title, box=None)
    with tempfile.TemporaryDirectory() as folder:
        os.environ[ROOT_VARIABLE] = folder
        for name in arguments.architectures:
            architecture = ARCHITECTURES[name]
            times = _side_by_side(_made(architecture), ours, clip, arguments.rounds)
            ratio = statistics.median(slow / fast for slow, fast in times)
            slow, fast = (statistics.median(column) for column in zip(*times, strict=True))
            table.add_row(architecture.title, f"{slow:.0f}", f"{fast:.1f}", f"{ratio:.0f}")
            gc.collect()  # the graph of this one, before that of the next
    Console().print(table)


def _side_by_side(theirs: Hear, ours: Hear, clip: npt.NDArray[np.float32], rounds: int) -> list[tuple[float, float]]:
    """Milliseconds of both, a pair a round, after one that does not count."""
    return [(_timed(theirs, clip), _timed(ours, clip)) for _ in range(rounds + 1)][1:]


def _timed(hear: Hear, clip: npt.NDArray[np.float32]) -> float:
    started = time.perf_counter()
    hear(clip)
    return 1_000 * (time.perf_counter() - started)


def _made(architecture: Architecture) -> OnnxEncoder:
    record = _installed(_Writer(architecture).write(), architecture.title)
    try:
        return OnnxEncoder(record, _HEARING)
    finally:
        remove_encoder(record)


def _installed(content: bytes, title: str) -> OnnxRecord:
    record = OnnxRecord.of(hashlib.sha256(content).hexdigest())
    install_network(record, content, title)
    return record


@dataclass
class _Writer:
    architecture: Architecture
    nodes: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)

    def write(self) -> bytes:
        width = self.architecture.width
        if self.architecture.whisper:
            entry = helper.make_tensor_value_info("input_features", TensorProto.FLOAT, [1, 80, 3_000])
            rows = self._convolve("input_features", 80, width, 3, step=1, pad=1)
            rows = self._convolve(rows, width, width, 3, step=2, pad=1)
            rows = self._add("Transpose", [rows], perm=[0, 2, 1])
            rows = self._add("Add", [rows, self._weight(1_500, width)])
        else:
            entry = helper.make_tensor_value_info("input_values", TensorProto.FLOAT, [1, "samples"])
            rows = self._add("Unsqueeze", ["input_values", self._whole(1)])
            channels = 1
            for kernel, step in ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2)):
                rows, channels = self._convolve(rows, channels, 512, kernel, step=step, normalised=True), 512
            rows = self._dense(self._normalise(self._add("Transpose", [rows], perm=[0, 2, 1]), 512), 512, width)
            turned = self._add("Transpose", [rows], perm=[0, 2, 1])
            places = self._convolve(turned, width, width, 127, step=1, pad=63, group=16)
            rows = self._add("Add", [rows, self._add("Transpose", [places], perm=[0, 2, 1])])
        for _ in range(self.architecture.blocks):
            rows = self._add("Add", [rows, self._attend(self._normalise(rows, width))])
            hidden = self._add("Gelu", [self._dense(self._normalise(rows, width), width, 4 * width)])
            rows = self._add("Add", [rows, self._dense(hidden, 4 * width, width)])
        self.nodes.append(helper.make_node("Identity", [self._normalise(rows, width)], ["last_hidden_state"]))
        end = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [1, "frames", width])
        graph = helper.make_graph(self.nodes, "encoder", [entry], [end], self.weights)
        self.weights.clear()  # each step copies them
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
        del graph
        content: bytes = model.SerializeToString()
        return content

    def _add(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def _weight(self, *shape: int) -> str:
        random = np.random.default_rng(len(self.weights))
        values = random.standard_normal(shape, dtype=np.float32)
        values *= np.float32(np.prod(shape[1:]) ** -0.5)
        return self._constant(values)

    def _whole(self, *values: int) -> str:
        return self._constant(np.array(values, dtype=np.int64))

    def _constant(self, values: npt.NDArray[Any]) -> str:
        name = f"constant_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def _dense(self, rows: str, given: int, wanted: int) -> str:
        return self._add("Add", [self._add("MatMul", [rows, self._weight(given, wanted)]), self._weight(wanted)])

    def _normalise(self, rows: str, width: int) -> str:
        return self._add("LayerNormalization", [rows, self._weight(width), self._weight(width)], axis=-1)

    def _convolve(
        self, rows: str, given: int, wanted: int, kernel: int, *, step: int, pad: int = 0, group: int = 1,
        normalised: bool = False,
    ) -> str:  # fmt: skip
        weights = [self._weight(wanted, given // group, kernel), self._weight(wanted)]
        rows = self._add("Conv", [rows, *weights], strides=[step], pads=[pad, pad], group=group)
        if normalised:
            turned = self._normalise(self._add("Transpose", [rows], perm=[0, 2, 1]), wanted)
            rows = self._add("Transpose", [turned], perm=[0, 2, 1])
        return self._add("Gelu", [rows])

    def _attend(self, rows: str) -> str:
        width = self.architecture.width
        query, key, value = (self._by_head(self._dense(rows, width, width), order) for order in ("q", "k", "v"))
        scale = self._constant(np.array(_HEAD**-0.5, dtype=np.float32))
        scores = self._add("MatMul", [self._add("Mul", [query, scale]), key])
        heard = self._add("MatMul", [self._add("Softmax", [scores], axis=-1), value])
        joined = self._add("Reshape", [self._add("Transpose", [heard], perm=[0, 2, 1, 3]), self._whole(1, -1, width)])
        return self._dense(joined, width, width)

    def _by_head(self, rows: str, part: str) -> str:
        heads = self._add("Reshape", [rows, self._whole(1, -1, self.architecture.width // _HEAD, _HEAD)])
        return self._add("Transpose", [heads], perm=[0, 2, 3, 1] if part == "k" else [0, 2, 1, 3])


if __name__ == "__main__":
    main()
