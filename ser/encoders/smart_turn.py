"""Reads the weights of Smart Turn, a Whisper whose encoder was tuned to hear when a speaker has finished.

They come as an ONNX graph with weights of eight bits, most of them without a name: each is found by the operations that
use it, from the biases, which have theirs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ser.encoders.onnx_graph import OnnxGraph, Operation
from ser.errors import DamagedError

Array = npt.NDArray[np.float32]

_CONVOLUTIONS = ("conv1", "conv2")
_PASSED_THROUGH = ("QuantizeLinear", "DequantizeLinear")


def read_variables(content: bytes, where: str) -> dict[str, npt.NDArray[Any]]:
    """The variables of the encoder, float32, named and laid out as CTranslate2 does (`ser.encoders.ctranslate2`).

    Args:
        content: The ONNX file.
        where: What to call it in an error.

    Raises:
        DamagedError: If it is another file.
    """
    graph = OnnxGraph(content, where)
    try:
        return _Reader(graph).variables()
    except (KeyError, ValueError, IndexError) as error:
        raise DamagedError(f"{where} is no encoder of Smart Turn: {error}") from error


class _Reader:
    def __init__(self, graph: OnnxGraph) -> None:
        self._graph = graph
        self._sums = {name: one for one in graph.operations if one.kind == "Add" for name in one.inputs}
        self._products = [one for one in graph.operations if one.kind == "MatMul"]

    def variables(self) -> dict[str, npt.NDArray[Any]]:
        found: dict[str, Array] = {"position_encodings/encodings": self._constant("embed_positions.weight")}
        for name in _CONVOLUTIONS:
            found[f"{name}/weight"] = self._dequantised(f"inner.encoder.{name}.weight_DequantizeLinear_Output")
            found[f"{name}/bias"] = self._dequantised(f"inner.encoder.{name}.bias")
        number = 0
        while f"inner.encoder.layers.{number}.fc1.bias" in self._sums:
            found |= {f"layer_{number}/{name}": array for name, array in self._block(f"layers.{number}").items()}
            number += 1
        return {f"encoder/{name}": array for name, array in found.items()}

    def _block(self, block: str) -> dict[str, Array]:
        query, value = (self._product(f"{block}.self_attn.{part}_proj.bias") for part in "qv")
        # The key, which has no bias, is what else the same norm is multiplied with.
        (key,) = (one for one in self._products if one.inputs[0] == query.inputs[0] and one not in (query, value))
        biases = [self._constant(f"{block}.self_attn.{part}_proj.bias") for part in "qv"]
        found = {
            "self_attention/linear_0/weight": np.concatenate([self._weights(one) for one in (query, key, value)]),
            "self_attention/linear_0/bias": np.concatenate([biases[0], np.zeros_like(biases[0]), biases[1]]),
        }
        for name, part in (
            ("self_attention/linear_1", "self_attn.out_proj"), ("ffn/linear_0", "fc1"), ("ffn/linear_1", "fc2")
        ):  # fmt: skip
            found[f"{name}/weight"] = self._weights(self._product(f"{block}.{part}.bias"))
            found[f"{name}/bias"] = self._constant(f"{block}.{part}.bias")
        for name, part in (("self_attention", "self_attn_layer_norm"), ("ffn", "final_layer_norm")):
            found[f"{name}/layer_norm/gamma"] = self._constant(f"{block}.{part}.weight")
            found[f"{name}/layer_norm/beta"] = self._constant(f"{block}.{part}.bias")
        return found

    def _product(self, bias: str) -> Operation:
        """The product of matrices that a bias is added to."""
        named = f"inner.encoder.{bias}"
        (other,) = (name for name in self._sums[named].inputs if name != named)
        source = self._graph.source(other)
        while source.kind in _PASSED_THROUGH:
            source = self._graph.source(source.inputs[0])
        if source.kind != "MatMul":
            raise ValueError(f"{bias} is added to what {source.kind} gives")
        return source

    def _weights(self, product: Operation) -> Array:
        """The second factor, (n_out, n_in)."""
        return self._dequantised(product.inputs[1], transposed=True)

    def _dequantised(self, name: str, *, transposed: bool = False) -> Array:
        """What whole numbers stand for, a scale for each of their first axis, which is the second if transposed."""
        source = self._graph.source(name)
        values, scales, zeros = (self._graph.constant(one) for one in source.inputs)
        values = values.T if transposed else values
        along = (-1, *[1] * (values.ndim - 1))
        whole: Array = values.astype(np.float32) - zeros.reshape(along).astype(np.float32)
        return whole * scales.reshape(along).astype(np.float32)

    def _constant(self, name: str) -> Array:
        return self._graph.constant(f"inner.encoder.{name}").astype(np.float32)
