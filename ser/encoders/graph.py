"""Writes a network as a LiteRT file, an operation at a time, as TensorFlow's converter would.

One axis may be `TIME`, whose length is free: the network takes any number of frames (`resize_tensor_input`). Weights of
layers are whole numbers of eight bits, a scale for each output; what they are multiplied with is brought to eight bits
while the network runs ("dynamic range": Jacob et al., 2018, the weights by channel).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

TIME = -1
"""Length of the axis whose length is free."""
LARGEST_WEIGHT = 127
"""Of eight bits with a sign, -128 left out: as far to one side as to the other."""
_VERSIONS = {"CONV_2D": 5, "FULLY_CONNECTED": 12}
"""Of operations with weights of eight bits by channel and an input of float32; those of the others are 1."""
_ONE_BYTE = 127
"""Operations with a greater number came when a byte was too short for it."""


@dataclass(frozen=True)
class Tensor:
    """What an operation gives, an input, or a constant; of float32 where nothing else is said."""

    number: int
    shape: tuple[int, ...]


class Graph:
    """A network that is being written. Each method adds an operation, and returns what it gives."""

    def __init__(self) -> None:
        from ai_edge_litert import schema_py_generated  # an extra, which not every command needs

        self._schema: ModuleType = schema_py_generated
        self._buffers = [self._schema.BufferT()]
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: list[str] = []

    def input(self, *shape: int) -> Tensor:
        """The network's input."""
        return self._tensor(shape)

    def constant(self, values: npt.ArrayLike) -> Tensor:
        """Numbers that are as they are: float32, or int32 of whole ones."""
        array = np.asarray(values)
        whole = np.issubdtype(array.dtype, np.integer)
        return self._constant(array.astype("<i4" if whole else "<f4"), "INT32" if whole else "FLOAT32")

    def reshape(self, tensor: Tensor, *shape: int) -> Tensor:
        """The same numbers in another shape."""
        options = self._options("Reshape", newShape=list(shape))
        return self._add("RESHAPE", [tensor, self.constant(shape)], shape, options)

    def transpose(self, tensor: Tensor, *axes: int) -> Tensor:
        """The axes in another order."""
        shape = tuple(tensor.shape[axis] for axis in axes)
        return self._add("TRANSPOSE", [tensor, self.constant(axes)], shape, self._options("Transpose"))

    def add(self, one: Tensor, other: Tensor) -> Tensor:
        """The sum; the second may have fewer axes."""
        return self._add("ADD", [one, other], one.shape, self._options("Add"))

    def subtract(self, one: Tensor, other: Tensor) -> Tensor:
        """The difference."""
        return self._add("SUB", [one, other], one.shape, self._options("Sub"))

    def multiply(self, one: Tensor, other: Tensor) -> Tensor:
        """The product of each with each."""
        return self._add("MUL", [one, other], one.shape, self._options("Mul"))

    def mean(self, tensor: Tensor) -> Tensor:
        """Over the last axis, which stays with a length of 1."""
        axis = self.constant([len(tensor.shape) - 1])
        return self._add("MEAN", [tensor, axis], (*tensor.shape[:-1], 1), self._options("Reducer", keepDims=True))

    def inverse_root(self, tensor: Tensor) -> Tensor:
        """1 / sqrt(x)."""
        return self._add("RSQRT", [tensor], tensor.shape)

    def gelu(self, tensor: Tensor) -> Tensor:
        """The input times its Phi, by the error function itself (Hendrycks and Gimpel, 2016)."""
        return self._add("GELU", [tensor], tensor.shape, self._options("Gelu"))

    def softmax(self, tensor: Tensor) -> Tensor:
        """Over the last axis."""
        return self._add("SOFTMAX", [tensor], tensor.shape, self._options("Softmax", beta=1.0))

    def multiply_matrices(self, one: Tensor, other: Tensor, *, transposed: bool = False) -> Tensor:
        """Matrix products over the last two axes; `transposed` turns the second."""
        shape = (*one.shape[:-1], other.shape[-2 if transposed else -1])
        return self._add("BATCH_MATMUL", [one, other], shape, self._options("BatchMatMul", adjY=transposed))

    def concatenate(self, tensors: Sequence[Tensor]) -> Tensor:
        """One behind the other along the last axis."""
        *rest, _ = tensors[0].shape
        shape = (*rest, sum(tensor.shape[-1] for tensor in tensors))
        return self._add("CONCATENATION", tensors, shape, self._options("Concatenation", axis=len(rest)))

    def first_rows(self, table: Array, like: Tensor) -> Tensor:
        """As many rows of a table as another tensor has.

        Args:
            table: float32, shape (n, n_columns).
            like: Of shape (TIME, n_columns).
        """
        length = self._add("SHAPE", [like], (2,), self._options("Shape", outType=self._schema.TensorType.INT32))
        self._tensors[length.number].type = self._schema.TensorType.INT32
        bounds = [self.constant(table), self.constant([0, 0]), length, self.constant([1, 1])]
        options = self._options("StridedSlice", beginMask=0b11, endMask=0b10)
        return self._add("STRIDED_SLICE", bounds, like.shape, options)

    def dense(self, rows: Tensor, weights: Array, bias: Array) -> Tensor:
        """Rows times weights, and a bias.

        Args:
            rows: Of shape (TIME, n_in).
            weights: float32, shape (n_out, n_in).
            bias: float32, shape (n_out,).
        """
        options = self._options("FullyConnected", asymmetricQuantizeInputs=True)
        inputs = [rows, self._weights(weights), self.constant(bias)]
        return self._add("FULLY_CONNECTED", inputs, (*rows.shape[:-1], len(weights)), options)

    def convolve(self, frames: Tensor, weights: Array, bias: Array, *, step: int = 1) -> Tensor:
        """Convolution over time, with as many zeros at both ends as keep the number of frames.

        Args:
            frames: Of shape (1, 1, TIME, n_in).
            weights: float32, shape (n_out, n_in, an odd number of frames).
            bias: float32, shape (n_out,).
            step: Every how many frames there is a result.
        """
        around = weights.shape[2] // 2
        zeros = self.constant([[0, 0], [0, 0], [around, around], [0, 0]])
        padded = self._add("PAD", [frames, zeros], frames.shape, self._options("Pad"))
        options = self._options(
            "Conv2D", padding=self._schema.Padding.VALID, strideH=1, strideW=step, dilationHFactor=1, dilationWFactor=1
        )
        inputs = [padded, self._weights(weights.transpose(0, 2, 1)[:, np.newaxis]), self.constant(bias)]
        return self._add("CONV_2D", inputs, (1, 1, TIME, len(weights)), options)

    def normalise(self, rows: Tensor, scale: Array, shift: Array, *, epsilon: float) -> Tensor:
        """Layer normalisation over the last axis (Ba et al., 2016)."""
        centred = self.subtract(rows, self.mean(rows))
        variance = self.mean(self.multiply(centred, centred))
        inverse = self.inverse_root(self.add(variance, self.constant([np.float32(epsilon)])))
        return self.add(self.multiply(self.multiply(centred, inverse), self.constant(scale)), self.constant(shift))

    def write(self, entry: Tensor, end: Tensor) -> bytes:
        """The file of the network from its input to its output: the same bytes for the same operations."""
        import flatbuffers  # which LiteRT brings

        subgraph = self._schema.SubGraphT()
        subgraph.tensors, subgraph.operators = self._tensors, self._operators
        subgraph.inputs, subgraph.outputs = [entry.number], [end.number]
        model = self._schema.ModelT()
        model.version, model.buffers, model.subgraphs = 3, self._buffers, [subgraph]
        model.operatorCodes = [self._code(name) for name in self._codes]
        builder = flatbuffers.Builder(sum(0 if b.data is None else len(b.data) for b in self._buffers) + (1 << 20))
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _add(self, name: str, inputs: Sequence[Tensor], shape: Sequence[int], options: Any = None) -> Tensor:
        if name not in self._codes:
            self._codes.append(name)
        given = self._tensor(shape)
        operator = self._schema.OperatorT()
        operator.opcodeIndex = self._codes.index(name)
        operator.inputs, operator.outputs = [tensor.number for tensor in inputs], [given.number]
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(self._schema.BuiltinOptions, kind)
            operator.builtinOptions = options
        self._operators.append(operator)
        return given

    def _options(self, name: str, **settings: Any) -> Any:
        options = getattr(self._schema, f"{name}OptionsT")()
        for key, value in settings.items():
            setattr(options, key, value)
        return options

    def _code(self, name: str) -> Any:
        code = self._schema.OperatorCodeT()
        code.builtinCode = getattr(self._schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode = min(code.builtinCode, _ONE_BYTE)
        code.version = _VERSIONS.get(name, 1)
        return code

    def _tensor(self, shape: Sequence[int]) -> Tensor:
        tensor = self._schema.TensorT()
        tensor.shape = [1 if length == TIME else length for length in shape]
        if TIME in shape:
            tensor.shapeSignature = list(shape)
        self._tensors.append(tensor)
        return Tensor(len(self._tensors) - 1, tuple(shape))

    def _constant(self, array: npt.NDArray[Any], kind: str) -> Tensor:
        buffer = self._schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(array).tobytes(), dtype=np.uint8)
        self._buffers.append(buffer)
        made = self._tensor(array.shape)
        tensor = self._tensors[made.number]
        tensor.type, tensor.buffer = getattr(self._schema.TensorType, kind), len(self._buffers) - 1
        return made

    def _weights(self, weights: Array) -> Tensor:
        values, scales = quantise(weights)
        made = self._constant(values, "INT8")
        quantisation = self._schema.QuantizationParametersT()
        quantisation.scale, quantisation.zeroPoint = scales, np.zeros(len(scales), dtype=np.int64)
        self._tensors[made.number].quantization = quantisation
        return made


def quantise(weights: Array) -> tuple[npt.NDArray[np.int8], Array]:
    """Weights as whole numbers, with a scale for each output: rounded to the nearest, halves away from zero.

    Args:
        weights: float32, shape (n_out, ...).

    Returns:
        int8 of the same shape, and float32, shape (n_out,): weights are about the product.
    """
    largest = np.abs(weights).reshape(len(weights), -1).max(axis=1)
    largest[largest == 0] = 1
    inverse = (np.float32(LARGEST_WEIGHT) / largest).reshape(-1, *[1] * (weights.ndim - 1))
    rounded = np.trunc(weights * inverse + np.copysign(np.float32(0.5), weights))
    scales: Array = largest / np.float32(LARGEST_WEIGHT)
    return rounded.clip(-LARGEST_WEIGHT, LARGEST_WEIGHT).astype(np.int8), scales
