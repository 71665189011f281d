"""Reads what an ONNX file says of its graph, without ONNX's packages: constants, operations, inputs and outputs.

The numbers of the fields are those of onnx.proto3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from ser.encoders.protobuf import Message, packed
from ser.errors import DamagedError

DTYPES: Mapping[int, str] = MappingProxyType(
    {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool", 10: "float16", 11: "float64"}
)
"""Of tensors, by ONNX's number of their type; those that are asked for here."""
_GRAPH, _FUNCTION = 7, 25
"""Of a model."""
_NODE, _CONSTANT, _SPARSE_CONSTANT, _INPUT, _OUTPUT = 1, 5, 15, 11, 12
"""Of a graph."""
_TENSORS, _GRAPHS, _SPARSE = (5, 10), (6, 11), (22, 23)
"""Of an attribute."""
_DEEPEST = 8
"""Graphs in graphs, as those of loops and branches."""


@dataclass(frozen=True)
class Operation:
    """A node of the graph."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Value:
    """An input or an output."""

    name: str
    dtype: str
    """As of NumPy; empty for what is not of `DTYPES`, or not said."""
    shape: tuple[int | None, ...]
    """None for a length that is free."""

    def __str__(self) -> str:
        lengths = ", ".join("any" if length is None else str(length) for length in self.shape)
        return f"{self.name!r}, {self.dtype or 'of an unknown type'} of shape ({lengths})"


class OnnxGraph:
    """What a file says; what is asked for is read then."""

    def __init__(self, content: bytes, where: str) -> None:
        """Reads the file's outermost messages.

        Args:
            content: The file.
            where: What to call it in an error.

        Raises:
            DamagedError: If it has no graph.
        """
        try:
            self._model = Message(content)
            (self._graph,) = self._model.messages(_GRAPH)
            self.operations = tuple(
                Operation(node.text(4), tuple(node.texts(1)), tuple(node.texts(2)))
                for node in self._graph.messages(_NODE)
            )
            constants = {tensor.text(8) for tensor in self._graph.messages(_CONSTANT)}
            self.inputs = tuple(one for one in self._values(_INPUT) if one.name not in constants)
            self.outputs = tuple(self._values(_OUTPUT))
            if any(_is_elsewhere(tensor) for tensor in self._tensors()):
                raise ValueError("it has weights in another file beside it; expected one file that has them all")
        except ValueError as error:
            raise DamagedError(f"{where} is no ONNX file that can be used: {error}") from error

    def constant(self, name: str) -> npt.NDArray[Any]:
        """The values of a constant.

        Raises:
            KeyError: If there is none of this name, or its type is not read.
            ValueError: If its values do not fill its shape.
        """
        tensor = self._constants[name]
        dtype = np.dtype(DTYPES[tensor.whole(2)]).newbyteorder("<")
        if 9 in tensor:
            flat = np.frombuffer(tensor.bytes(9), dtype)
        elif 4 in tensor:
            flat = np.frombuffer(tensor.bytes(4), "<f4").astype(dtype)
        else:
            flat = np.array(tensor.wholes(5) or tensor.wholes(7), np.int64).astype(dtype)
        return flat.reshape(tensor.wholes(1))

    def channels_convolved(self, name: str) -> int | None:
        """How many channels of a value are convolved, where an operation does that with constant weights."""
        for one in self.operations:
            if one.kind == "Conv" and one.inputs[:1] == (name,) and set(one.inputs[1:2]) & self._constants.keys():
                shape = self._constants[one.inputs[1]].wholes(1)
                return shape[1] if len(shape) > 1 else None
        return None

    def source(self, name: str) -> Operation:
        """The operation that gives a value.

        Raises:
            KeyError: If none does.
        """
        return self._by_output[name]

    def gives(self, name: str) -> bool:
        """Whether an operation gives a value of this name, be it an output or not."""
        return name in self._by_output

    @cached_property
    def _constants(self) -> dict[str, Message]:
        return {tensor.text(8): tensor for tensor in self._graph.messages(_CONSTANT)}

    @cached_property
    def _by_output(self) -> dict[str, Operation]:
        return {name: operation for operation in self.operations for name in operation.outputs}

    def _values(self, number: int) -> Iterator[Value]:
        for one in self._graph.messages(number):
            kinds = [tensor for kind in one.messages(2) for tensor in kind.messages(1)]
            dtype = DTYPES.get(kinds[-1].whole(1), "") if kinds else ""
            lengths = [length for kind in kinds for shape in kind.messages(2) for length in shape.messages(1)]
            yield Value(one.text(1), dtype, tuple(length.whole(1) or None for length in lengths))

    def _tensors(self) -> Iterator[Message]:
        """All constants, however deep."""
        yield from _of_graph(self._graph, 0)
        for function in self._model.messages(_FUNCTION):
            yield from _of_attributes(function.messages(11), 0)
            yield from _of_nodes(function.messages(7), 0)


def with_outputs(content: bytes, names: Sequence[str]) -> bytes:
    """A file with more outputs: values that its operations give, and it does not.

    Protobuf joins the messages of a field that comes twice, so these are put behind the file.
    """
    outputs = b"".join(packed(_OUTPUT, packed(1, name.encode())) for name in names)
    return content + packed(_GRAPH, outputs) if names else content


def _of_graph(graph: Message, depth: int) -> Iterator[Message]:
    if depth > _DEEPEST:
        raise ValueError(f"it has graphs in graphs, more than {_DEEPEST} deep")
    yield from graph.messages(_CONSTANT)
    yield from _of_sparse(graph.messages(_SPARSE_CONSTANT))
    yield from _of_nodes(graph.messages(_NODE), depth)


def _of_nodes(nodes: Sequence[Message], depth: int) -> Iterator[Message]:
    for node in nodes:
        yield from _of_attributes(node.messages(5), depth)


def _of_attributes(attributes: Sequence[Message], depth: int) -> Iterator[Message]:
    for attribute in attributes:
        for number in _TENSORS:
            yield from attribute.messages(number)
        for number in _SPARSE:
            yield from _of_sparse(attribute.messages(number))
        for number in _GRAPHS:
            for graph in attribute.messages(number):
                yield from _of_graph(graph, depth + 1)


def _of_sparse(tensors: Sequence[Message]) -> Iterator[Message]:
    return (part for tensor in tensors for number in (1, 2) for part in tensor.messages(number))


def _is_elsewhere(tensor: Message) -> bool:
    return 13 in tensor or bool(tensor.whole(14))
