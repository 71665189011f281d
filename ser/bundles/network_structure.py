"""What is checked of a .tflite file before LiteRT, which is C++ and believes what it reads, is given it.

Every offset lies in the file, every index in its list, every constant has as many bytes as its shape says, and each
operation reads what is an input, a constant, or was computed before. A network is one graph of LiteRT's own operations
that keeps nothing between calls: none of `_REFUSED`, no other graph, no variable, no file beside. So damage is told and
crashes nothing. How much time and memory a network takes that somebody wrote to take much cannot be read off its file.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from ser.bundles.flatbuffer import Table

_I8, _U8, _I32, _U32, _U64 = (struct.Struct(form) for form in ("<b", "<B", "<i", "<I", "<Q"))
_FLOAT32 = 0
_BYTES = {0: 4, 1: 2, 2: 4, 3: 1, 4: 8, 6: 1, 7: 2, 9: 1, 10: 8, 12: 8, 15: 4, 16: 2}
"""Number of the type of a tensor to the size of an element: floats, whole numbers and booleans."""
_LAST_OPERATION = 161
"""RIGHT_SHIFT; those behind it are of StableHLO."""
_REFUSED = {
    10: "HASHTABLE_LOOKUP",
    31: "CALL",
    32: "CUSTOM",
    51: "DELEGATE",
    118: "IF",
    119: "WHILE",
    129: "CALL_ONCE",
    136: "HASHTABLE",
    137: "HASHTABLE_FIND",
    138: "HASHTABLE_IMPORT",
    139: "HASHTABLE_SIZE",
    142: "VAR_HANDLE",
    143: "READ_VARIABLE",
    144: "ASSIGN_VARIABLE",
    146: "RANDOM_STANDARD_NORMAL",
    148: "RANDOM_UNIFORM",
    149: "MULTINOMIAL",
}
"""Operations that are not LiteRT's own, use other graphs, keep something between calls, or answer by chance."""
_VECTORS_OF_OPTIONS = {3: ((1, 4), (2, 4)), 8: ((5, 4),), 17: ((0, 4),), 30: ((0, 4),), 115: ((0, 4),)}
"""Number of an operation's kind of options to its fields that are vectors, with the size of their elements."""
_MOST = 20_000
_MOST_OPERANDS = 1_000
_MOST_OPTIONS = 64
_MOST_ELEMENTS = 1 << 28
_HIGHEST_RANK = 8


@dataclass(frozen=True)
class _Tensor:
    type: int
    shape: tuple[int, ...]
    constant: bool


def check_network(content: bytes) -> None:
    """Checks the content of a .tflite file.

    Raises:
        ValueError: If it is damaged, or no network as above with one input and one output, float32 of two dimensions.
    """
    model = Table.root(content, b"TFL3")
    _refuse(model, {8: "external buffers", 9: "external buffers"})
    model.check_string(3)
    buffers = [_buffer(one) for one in model.tables(4, _MOST)]
    _check_names(model, buffers)
    operations = [_operation(one) for one in model.tables(1, _MOST)]
    graphs = model.tables(2, _MOST)
    if len(graphs) != 1:
        raise ValueError(f"expected one graph, got {len(graphs)}")
    (graph,) = graphs
    graph.check_string(4)
    tensors = [_tensor(one, buffers) for one in graph.tables(0, _MOST)]
    inputs, outputs = graph.whole_numbers(1, 1), graph.whole_numbers(2, 1)
    _check_ends(inputs, outputs, tensors)
    _check_order(graph, operations, tensors, inputs, outputs)
    for signature in model.tables(7, 16):
        _check_signature(signature, len(tensors))


def _refuse(table: Table, fields: dict[int, str]) -> None:
    for number, what in fields.items():
        if table.has(number):
            raise ValueError(f"expected no {what}")


def _buffer(table: Table) -> int:
    """The number of bytes of a buffer."""
    if table.number(1, _U64) or table.number(2, _U64):
        raise ValueError("expected buffers within the file's tables")
    return table.vector(0, 1)[1]


def _check_names(model: Table, buffers: Sequence[int]) -> None:
    for one in (*model.whole_numbers(5, _MOST), *(_named_buffer(entry) for entry in model.tables(6, 1_000))):
        if not 0 <= one < len(buffers):
            raise ValueError(f"expected one of {len(buffers)} buffers, got number {one}")


def _named_buffer(entry: Table) -> int:
    entry.check_string(0)
    return entry.number(1, _U32)


def _operation(table: Table) -> int:
    table.check_string(1)
    code = max(table.number(0, _I8), table.number(3, _I32))
    if code in _REFUSED or not 0 <= code <= _LAST_OPERATION:
        raise ValueError(f"expected LiteRT's own operations on one graph, got {_REFUSED.get(code, f'number {code}')}")
    return code


def _tensor(table: Table, buffers: Sequence[int]) -> _Tensor:
    _refuse(table, {6: "sparse tensors", 9: "tensors of variants"})
    table.check_string(3)
    shape, kind, buffer = table.whole_numbers(0, _HIGHEST_RANK), table.number(1, _I8), table.number(2, _U32)
    signature = table.whole_numbers(7, _HIGHEST_RANK)
    if kind not in _BYTES or table.number(5, _U8) or table.number(10, _U32):
        raise ValueError("expected tensors of numbers that keep nothing between calls")
    if min(shape, default=0) < 0 or math.prod(shape) > _MOST_ELEMENTS:
        raise ValueError(f"expected tensors of {_MOST_ELEMENTS} numbers at most, got one of shape {shape}")
    if signature and (
        len(signature) != len(shape)
        or any(one not in (-1, length) for one, length in zip(signature, shape, strict=True))
    ):
        raise ValueError("a tensor has two shapes that do not fit")
    if buffer >= len(buffers):
        raise ValueError(f"expected one of {len(buffers)} buffers, got number {buffer}")
    if buffers[buffer] and buffers[buffer] != math.prod(shape) * _BYTES[kind]:
        raise ValueError(f"a constant of shape {shape} has {buffers[buffer]} bytes")
    _check_quantisation(table.table(4), shape)
    return _Tensor(kind, shape, constant=buffers[buffer] > 0)


def _check_quantisation(table: Table | None, shape: tuple[int, ...]) -> None:
    if table is None:
        return
    _refuse(table, {5: "quantisation of another kind"})
    for number in (0, 1):
        table.vector(number, 4)
    scales, zeros = table.vector(2, 4)[1], table.vector(3, 8)[1]
    axis = table.number(6, _I32)
    if scales > 1 and not (0 <= axis < len(shape) and scales == shape[axis]):
        raise ValueError(f"expected a scale for each channel of shape {shape}, got {scales} along {axis}")
    if zeros not in (0, scales):
        raise ValueError(f"expected as many zero points as scales, got {zeros} and {scales}")


def _check_ends(inputs: Sequence[int], outputs: Sequence[int], tensors: Sequence[_Tensor]) -> None:
    for kind, ends in (("input", inputs), ("output", outputs)):
        if len(ends) != 1 or not 0 <= ends[0] < len(tensors):
            raise ValueError(f"expected one {kind}, got {len(ends)}")
        tensor = tensors[ends[0]]
        if tensor.type != _FLOAT32 or len(tensor.shape) != 2 or tensor.constant:
            raise ValueError(f"expected an {kind} of float32 with two dimensions, got shape {tensor.shape}")


def _check_order(
    graph: Table, operations: Sequence[int], tensors: Sequence[_Tensor], inputs: Sequence[int], outputs: Sequence[int]
) -> None:
    known = {number for number, tensor in enumerate(tensors) if tensor.constant or math.prod(tensor.shape) == 0}
    known.update(inputs)
    for operator in graph.tables(3, _MOST):
        reads, writes = _operands(operator, operations)
        if not set(reads) - {-1} <= known:
            raise ValueError("an operation reads what nothing has computed")
        fresh = all(0 <= one < len(tensors) and one not in known for one in writes)
        if not fresh or len(set(writes)) != len(writes):
            raise ValueError("an operation writes what is an input, a constant or computed already")
        known.update(writes)
    if not set(outputs) <= known:
        raise ValueError("nothing computes the output")


def _operands(operator: Table, operations: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    _refuse(operator, {5: "operations of another kind", 8: "intermediate tensors", 12: "options of another kind"})
    if operator.number(0, _U32) >= len(operations) or operator.number(9, _U64) or operator.number(10, _U64):
        raise ValueError(f"expected one of {len(operations)} operations")
    operator.vector(7, 1)
    kind, options = operator.number(3, _U8), operator.table(4)
    if options is not None:
        if options.count > _MOST_OPTIONS:
            raise ValueError(f"expected at most {_MOST_OPTIONS} options, got {options.count}")
        for number in range(options.count):
            options.place(number, 1)
        for number, width in _VECTORS_OF_OPTIONS.get(kind, ()):
            options.vector(number, width)
    return operator.whole_numbers(1, _MOST_OPERANDS), operator.whole_numbers(2, _MOST_OPERANDS)


def _check_signature(table: Table, num_tensors: int) -> None:
    table.check_string(2)
    if table.number(4, _U32):
        raise ValueError("a signature is of a graph that is not there")
    for side in (0, 1):
        for entry in table.tables(side, 16):
            entry.check_string(0)
            if entry.number(1, _U32) >= num_tensors:
                raise ValueError("a signature names a tensor that is not there")
