"""Networks that are well-formed files and none of ours: each is refused in words; neighbours of theirs are not.

They are written by LiteRT's own schema, from a model of ours that is changed in one place.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest

from ser.bundles.bundle import Bundle
from ser.bundles.manifest import TFLITE
from ser.bundles.network_structure import check_network

Change = Callable[[Any], object]


def packed(model: Any) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def parts(content: bytes) -> Any:
    return schema().ModelT.InitFromObj(schema().Model.GetRootAsModel(content, 0))


@pytest.fixture(scope="module")
def content(bundle: Bundle) -> bytes:
    """A model of ours, of four features instead of hundreds: to write it takes no time."""
    model = parts((bundle.folder / TFLITE).read_bytes())
    rows, weights = (model.subgraphs[0].tensors[number] for number in (0, 3))
    rows.shape, rows.shapeSignature, weights.shape = [1, 4], [-1, 4], [weights.shape[0], 4]
    model.buffers[weights.buffer].data = [0] * (4 * 4 * weights.shape[0])
    return packed(model)


@pytest.fixture
def model(content: bytes) -> Any:
    """The model's parts: one graph of three layers, and its eight tensors."""
    return parts(content)


def schema() -> Any:
    from ai_edge_litert import schema_py_generated

    return schema_py_generated


def put(path: str, value: Any) -> Change:
    """Changes an attribute: `graph.operators.0.outputs` of the model's one graph."""

    def change(model: Any) -> None:
        *way, last = path.split(".")
        found = model
        for step in way:
            if step == "graph":
                found = model.subgraphs[0]
            else:
                found = found[int(step)] if step.isdigit() else getattr(found, step)
        made = value() if callable(value) else value
        if last.isdigit():
            found[int(last)] = made
        else:
            assert hasattr(found, last), path
            setattr(found, last, made)

    return change


def shaped(*shape: int) -> Change:
    """Gives a tensor another shape, and no second one."""

    def change(model: Any) -> None:
        put("graph.tensors.6.shape", list(shape))(model)
        put("graph.tensors.6.shapeSignature", None)(model)

    return change


def quantised(scales: int, zeros: int, axis: int) -> Callable[[], Any]:
    def make() -> Any:
        made = schema().QuantizationParametersT()
        made.scale, made.zeroPoint, made.quantizedDimension = [0.5] * scales, [0] * zeros, axis
        return made

    return make


def options(many: int) -> Callable[[], Any]:
    """Options of an operation: as many fields as asked for."""

    def make() -> Any:
        class Options:
            def Pack(self, builder: Any) -> int:  # noqa: N802 - as the schema's classes have it
                builder.StartObject(many)
                builder.PrependInt8Slot(many - 1, 1, 0)
                return int(builder.EndObject())

        return Options()

    return make


SCALES = "graph.tensors.2.quantization"
TOO_LARGE = "expected tensors of 268435456 numbers at most"
WRONG_OUTPUT = "expected an output of float32 with two dimensions"
OVERWRITTEN = "an operation writes what is an input"


def one_layer(model: Any) -> None:
    """Leaves the first layer, which then reads all that there is."""
    graph = model.subgraphs[0]
    graph.operators, graph.outputs = graph.operators[:1], [5]
    for number in (1, 2):  # the other layer's weights
        graph.tensors[number].buffer = 0


OWN = "expected LiteRT's own operations on one graph"
REFUSED: dict[str, tuple[Change, str]] = {
    "two graphs": (lambda model: model.subgraphs.append(model.subgraphs[0]), "expected one graph, got 2"),
    "an operation of another code": (put("operatorCodes.0.builtinCode", 32), f"{OWN}, got CUSTOM"),
    "a loop": (put("operatorCodes.0.builtinCode", 119), f"{OWN}, got WHILE"),
    "a branch": (put("operatorCodes.0.builtinCode", 118), f"{OWN}, got IF"),
    "an answer by chance": (put("operatorCodes.0.builtinCode", 148), f"{OWN}, got RANDOM_UNIFORM"),
    "a variable": (put("operatorCodes.0.builtinCode", 144), f"{OWN}, got ASSIGN_VARIABLE"),
    "an operation of StableHLO": (put("operatorCodes.0.builtinCode", 162), f"{OWN}, got number 162"),
    "an operation that is not listed": (put("graph.operators.0.opcodeIndex", 2), "expected one of 2 operations"),
    "intermediate tensors": (put("graph.operators.0.intermediates", [1]), "expected no intermediate tensors"),
    "operations' custom options": (put("graph.operators.0.customOptions", [1]), "operations of another kind"),
    "large custom options": (put("graph.operators.0.largeCustomOptionsOffset", 8), "expected one of 2 operations"),
    "large custom options' size": (put("graph.operators.0.largeCustomOptionsSize", 8), "expected one of 2 operations"),
    "too many options": (put("graph.operators.0.builtinOptions", options(65)), "expected at most 64 options, got 65"),
    "a tensor of words": (put("graph.tensors.6.type", 5), "expected tensors of numbers that keep nothing"),
    "a tensor that is kept": (put("graph.tensors.6.isVariable", True), "expected tensors of numbers that keep nothing"),
    "a tensor without end": (put("graph.tensors.6.shape", [2**15, 2**14]), TOO_LARGE),
    "a tensor below nothing": (put("graph.tensors.6.shape", [-1, 7]), TOO_LARGE),
    "a tensor of nine dimensions": (put("graph.tensors.6.shape", [1] * 9), "expected at most 8 numbers, got 9"),
    "two shapes": (put("graph.tensors.6.shapeSignature", [-1, 8]), "two shapes that do not fit"),
    "two shapes of other ranks": (put("graph.tensors.6.shapeSignature", [-1]), "two shapes that do not fit"),
    "a buffer that is not there": (put("graph.tensors.6.buffer", 1_000), "buffers, got number 1000"),
    "a constant of another size": (put("graph.tensors.1.shape", [8]), r"a constant of shape \(8,\) has 28 bytes"),
    "metadata of no buffer": (put("metadata.0.buffer", 1_000), r"expected one of \d+ buffers, got number 1000"),
    "external buffers": (put("buffers.0.offset", 8), "expected buffers within the file's tables"),
    "external buffers' size": (put("buffers.0.size", 8), "expected buffers within the file's tables"),
    "scales of no channel": (put(SCALES, quantised(2, 2, 0)), "expected a scale for each channel"),
    "scales along nothing": (put(SCALES, quantised(7, 7, 2)), "expected a scale for each channel"),
    "zero points of other scales": (put(SCALES, quantised(7, 3, 0)), "as many zero points as scales"),
    "two inputs": (put("graph.inputs", [0, 1]), "expected at most 1 numbers, got 2"),
    "no input": (put("graph.inputs", []), "expected one input, got 0"),
    "an input that is not there": (put("graph.inputs", [8]), "expected one input"),
    "an input of one dimension": (put("graph.inputs", [1]), "expected an input of float32 with two dimensions"),
    "an output that is a constant": (put("graph.outputs", [2]), WRONG_OUTPUT),
    "an output of whole numbers": (put("graph.tensors.7.type", 2), WRONG_OUTPUT),
    "an output that nothing computes": (lambda model: model.subgraphs[0].operators.pop(), "nothing computes the"),
    "an operation before its time": (
        lambda model: model.subgraphs[0].operators.reverse(), "an operation reads what nothing has computed",
    ),
    "an operation onto a constant": (put("graph.operators.0.outputs", [2]), OVERWRITTEN),
    "an operation onto the input": (put("graph.operators.0.outputs", [0]), OVERWRITTEN),
    "an operation onto nothing": (put("graph.operators.0.outputs", [8]), OVERWRITTEN),
    "an operation onto one thing twice": (put("graph.operators.0.outputs", [5, 5]), OVERWRITTEN),
    "a signature of another graph": (put("signatureDefs.0.subgraphIndex", 1), "a signature is of a graph"),
    "a signature of no tensor": (
        put("signatureDefs.0.inputs.0.tensorIndex", 8), "a signature names a tensor",
    ),
}  # fmt: skip
TAKEN: dict[str, Change] = {
    "as it is": lambda _: None,
    "one layer": one_layer,
    "RIGHT_SHIFT": put("operatorCodes.0.builtinCode", 161),
    "options of the greatest number": put("graph.operators.0.builtinOptions", options(64)),
    "an optional operand": put("graph.operators.0.inputs", [0, 3, -1]),
    "variables that an operation changes": put("graph.operators.0.mutatingVariableInputs", [True, False, False]),
    "a large tensor": shaped(2**14, 2**14),
    "a tensor of eight dimensions": shaped(1, 1, 1, 1, 1, 1, 1, 7),
    "scales along a channel": put(SCALES, quantised(7, 7, 0)),
    "scales without zero points": put(SCALES, quantised(100, 0, 1)),
    "one scale": put(SCALES, quantised(1, 1, 0)),
}  # fmt: skip


@pytest.mark.parametrize(("change", "says"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_network_of_ours_is_refused_in_words(model: Any, change: Change, says: str) -> None:
    change(model)
    with pytest.raises(ValueError, match=says):
        check_network(packed(model))


def test_a_file_of_another_kind_is_told(content: bytes) -> None:
    with pytest.raises(ValueError, match="expected the identifier b'TFL3', got b'TFL2'"):
        check_network(content[:4] + b"TFL2" + content[8:])


@pytest.mark.parametrize("change", TAKEN.values(), ids=TAKEN)
def test_what_differs_by_little_is_taken(model: Any, change: Change) -> None:
    change(model)
    check_network(packed(model))


NOT_TAKEN = (
    {10, 136, 137, 138, 139}  # tables
    | {31, 118, 119, 129}  # other graphs: CALL, IF, WHILE, CALL_ONCE
    | {32, 51}  # code that is not LiteRT's own
    | {142, 143, 144}  # variables
    | {146, 148, 149}  # chance
)


@pytest.mark.parametrize("code", range(163))
def test_operations_are_those_that_compute_what_they_are_given(model: Any, code: int) -> None:
    model.operatorCodes[0].builtinCode = code
    model.operatorCodes[0].deprecatedBuiltinCode = min(code, 127)
    if code in NOT_TAKEN or code == 162:
        with pytest.raises(ValueError, match=OWN):
            check_network(packed(model))
    else:
        check_network(packed(model))


BYTES = {0: 4, 1: 2, 2: 4, 3: 1, 4: 8, 6: 1, 7: 2, 9: 1, 10: 8, 12: 8, 15: 4, 16: 2}
"""Type of a tensor, as LiteRT's schema numbers them, to the bytes of a number: floats, whole numbers and booleans."""


@pytest.mark.parametrize("kind", range(-1, 20))
def test_a_constant_is_of_a_known_type_and_has_as_many_bytes_as_its_numbers(model: Any, kind: int) -> None:
    tensor = model.subgraphs[0].tensors[1]
    assert list(tensor.shape) == [7]
    tensor.type = kind
    for size in range(1, 10):
        model.buffers[tensor.buffer].data = [0] * 7 * size
        if size == BYTES.get(kind):
            check_network(packed(model))
        else:
            with pytest.raises(ValueError, match="a constant of shape|expected tensors of numbers"):
                check_network(packed(model))


@pytest.mark.parametrize("field", ["mutatingVariableInputs", "inputs", "outputs"])
def test_a_list_of_an_operation_that_leads_out_of_the_file_is_refused(model: Any, field: str) -> None:
    """The list is one that no other part of the file looks like, so that its length can be found."""
    first = model.subgraphs[0].operators[0]
    marked = [True] * 13 if field == "mutatingVariableInputs" else [0x5A5A5A5A] * 13
    setattr(first, field, marked)
    values = b"\x01" * 13 if field == "mutatingVariableInputs" else struct.pack("<13i", *marked)
    content = packed(model)
    assert content.count(struct.pack("<I", 13) + values) == 1
    with pytest.raises(ValueError, match="a vector is longer than the file"):
        check_network(content.replace(struct.pack("<I", 13) + values, struct.pack("<I", 2**31) + values))
