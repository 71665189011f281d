"""The encoder of Whisper (Radford et al., 2022): the spectrum that it reads, and its network of chosen blocks.

A recording is not padded to 30 seconds, as Whisper does: it is heard at its own length, and shorter ones cost less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ser.audio.recordings import SAMPLE_RATE_HZ, Samples
from ser.encoders.graph import TIME, Graph, Tensor
from ser.errors import DamagedError

Array = npt.NDArray[np.float32]

WINDOW, HOP = 400, 160
"""Samples of a frame, 25 ms, and from frame to frame, 10 ms."""
N_BANDS = 80
STRIDE = 2
"""The network gives a frame for so many frames of the spectrum."""
POWER_FLOOR = np.float32(1e-10)
RANGE = np.float32(8)
"""In powers of ten: bands further below the loudest are raised to there."""
_HEAD = 64
_EPSILON = 1e-5


def log_mel(samples: Samples, n_bands: int = N_BANDS) -> Array:
    """Whisper's spectrum.

    Args:
        samples: float32, shape (n,), n > 0, at 16 kHz.
        n_bands: How many bands; its largest model has 128.

    Returns:
        float32, shape (an even number of frames, `n_bands`): log10 of the power in mel bands (Slaney's), scaled.
    """
    from scipy.fft import rfft

    window, bank = _bases(n_bands)
    count = STRIDE * -(-len(samples) // (STRIDE * HOP))
    around = np.zeros(count * HOP + WINDOW, dtype=np.float32)
    around[WINDOW // 2 : WINDOW // 2 + len(samples)] = samples
    frames = np.lib.stride_tricks.sliding_window_view(around, WINDOW)[: count * HOP : HOP]
    spectrum = rfft(frames * window, axis=1)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    bands = np.log10(np.maximum(power @ bank, POWER_FLOOR))
    scaled: Array = (np.maximum(bands, bands.max() - RANGE) + 4) / 4
    return scaled


@lru_cache(maxsize=2)
def _bases(n_bands: int) -> tuple[Array, Array]:
    """A periodic Hann window, and Slaney's bands up to half the rate: shapes (`WINDOW`,) and (201, n_bands)."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    top = SAMPLE_RATE_HZ / 2
    edges, bins = _hz(np.linspace(0, _mel(top), n_bands + 2)), np.linspace(0, top, WINDOW // 2 + 1)[:, np.newaxis]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.maximum(0, np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)))
    return window.astype(np.float32), (triangles * 2 / (high - low)).astype(np.float32)


def _hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Slaney's scale: linear to 1 kHz at mel 15, then 27 steps for each factor of 6.4."""
    return np.where(mel < 15, 200 * mel / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


def _mel(hz: float) -> float:
    """The inverse above 1 kHz."""
    return 15 + 27 * float(np.log(hz / 1000)) / float(np.log(6.4))


def write_network(variables: Mapping[str, npt.NDArray[Any]], norms: Sequence[int], where: str) -> bytes:
    """The LiteRT file of an encoder's first blocks, from `log_mel` to what is read, side by side.

    Args:
        variables: Of a Whisper, named as CTranslate2 does.
        norms: What is read: layer norms, two in a block, before its attention and before its perceptron, counted from
            0, in order. What lies behind the last is left out.
        where: What to call the variables' file in an error.

    Raises:
        DamagedError: If a variable is missing, or of another shape.
    """
    try:
        return _Writer(variables).write(norms)
    except (KeyError, ValueError, IndexError) as error:
        raise DamagedError(f"{where} is no Whisper: {error}") from error


class _Writer:
    def __init__(self, variables: Mapping[str, npt.NDArray[Any]]) -> None:
        self._variables = variables
        self._graph = Graph()
        self._positions = self._of("position_encodings/encodings")
        self._width = self._positions.shape[1]
        self._heads = self._width // _HEAD

    def write(self, norms: Sequence[int]) -> bytes:
        graph = self._graph
        entry = graph.input(1, TIME, N_BANDS)
        frames = graph.reshape(entry, 1, 1, TIME, N_BANDS)
        for name, step in (("conv1", 1), ("conv2", STRIDE)):
            frames = graph.gelu(graph.convolve(frames, *self._layer(name), step=step))
        rows = graph.reshape(frames, TIME, self._width)
        rows = graph.add(rows, graph.first_rows(self._positions, rows))
        found: list[Tensor] = []
        while True:
            block, of_perceptron = divmod(len(found), 2)
            part = f"layer_{block}/{'ffn' if of_perceptron else 'self_attention'}"
            found.append(self._norm(rows, part))
            if len(found) > max(norms):
                return graph.write(entry, graph.concatenate([found[number] for number in norms]))
            step_of = self._perceive if of_perceptron else self._attend
            rows = graph.add(rows, step_of(found[-1], part))

    def _perceive(self, rows: Tensor, name: str) -> Tensor:
        """The perceptron of one hidden layer, frame by frame."""
        hidden = self._graph.gelu(self._graph.dense(rows, *self._layer(f"{name}/linear_0")))
        return self._graph.dense(hidden, *self._layer(f"{name}/linear_1"))

    def _attend(self, rows: Tensor, name: str) -> Tensor:
        """Self-attention of several heads (Vaswani et al., 2017)."""
        graph, width = self._graph, self._width
        weights, bias = self._layer(f"{name}/linear_0")
        # The scale of the products, 1/8, goes into the queries' weights: a power of two, which changes no digit.
        scale = np.float32(_HEAD**-0.5)
        query, key, value = (
            self._by_head(graph.dense(rows, weights[part] * factor, bias[part] * factor))
            for part, factor in (
                (slice(0, width), scale),
                (slice(width, 2 * width), np.float32(1)),
                (slice(2 * width, 3 * width), np.float32(1)),
            )
        )
        shares = graph.softmax(graph.multiply_matrices(query, key, transposed=True))
        heard = graph.transpose(graph.multiply_matrices(shares, value), 1, 0, 2)
        return graph.dense(graph.reshape(heard, TIME, width), *self._layer(f"{name}/linear_1"))

    def _by_head(self, rows: Tensor) -> Tensor:
        return self._graph.transpose(self._graph.reshape(rows, TIME, self._heads, _HEAD), 1, 0, 2)

    def _norm(self, rows: Tensor, name: str) -> Tensor:
        scale, shift = (self._of(f"{name}/layer_norm/{one}") for one in ("gamma", "beta"))
        return self._graph.normalise(rows, scale, shift, epsilon=_EPSILON)

    def _layer(self, name: str) -> tuple[Array, Array]:
        return self._of(f"{name}/weight"), self._of(f"{name}/bias")

    def _of(self, name: str) -> Array:
        return self._variables[f"encoder/{name}"].astype(np.float32)
