"""Writes ONNX files, field by field: the numbers are those of onnx.proto3. And two networks that are written so."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "bool": 9, "float16": 10, "float64": 11}


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    parts = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(part | 0x80 for part in parts[:-1]), parts[-1]])


def field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def tensor(name: str, values: npt.ArrayLike, *, raw: bool = True, external: bool = False) -> bytes:
    """A constant: its bytes as they are, as a list of numbers of its kind, or in a file beside it."""
    array = np.asarray(values)
    found = b"".join(field(1, length) for length in array.shape) + field(2, _TYPES[array.dtype.name])
    found += field(8, name)
    if external:
        found += field(13, field(1, "location") + field(2, "weights.bin")) + field(14, 1)
    elif raw:
        found += field(9, array.tobytes())
    elif array.dtype.kind == "f":
        found += field(4, array.astype("<f4").tobytes())
    else:
        found += field(7 if array.dtype.itemsize == 8 else 5, b"".join(varint(int(one)) for one in array.ravel()))
    return found


def attribute(name: str, value: Any) -> bytes:
    """One of a node: a number, text, whole numbers, or the message of a tensor or graph (`(number, type, bytes)`)."""
    if isinstance(value, float):
        return field(1, name) + varint(2 << 3 | 5) + struct.pack("<f", value) + field(20, 1)
    if isinstance(value, int):
        return field(1, name) + field(3, value) + field(20, 2)
    if isinstance(value, list):
        return field(1, name) + b"".join(field(8, one) for one in value) + field(20, 7)
    number, kind, content = value
    return field(1, name) + field(number, content) + field(20, kind)


def node(kind: str, inputs: Sequence[str], outputs: Sequence[str], *, domain: str = "", **attributes: Any) -> bytes:
    found = b"".join(field(1, name) for name in inputs) + b"".join(field(2, name) for name in outputs)
    found += field(3, f"{kind}_{outputs[0]}") + field(4, kind)
    found += b"".join(field(5, attribute(name, value)) for name, value in attributes.items())
    return found + (field(7, domain) if domain else b"")


def value(name: str, kind: str, shape: Sequence[int | str]) -> bytes:
    """An input or output; lengths that are free have names."""
    lengths = b"".join(field(1, field(2 if isinstance(one, str) else 1, one)) for one in shape)
    return field(1, name) + field(2, field(1, field(1, _TYPES[kind]) + field(2, lengths)))


def graph(
    nodes: Sequence[bytes], constants: Sequence[bytes], inputs: Sequence[bytes] = (), outputs: Sequence[bytes] = ()
) -> bytes:
    parts = ((1, nodes), (5, constants), (11, inputs), (12, outputs))
    return b"".join(field(number, one) for number, part in parts for one in part) + field(2, "tiny")


def model(content: bytes, *, domains: Mapping[str, int] | None = None) -> bytes:
    sets = {"": 17, **(domains or {})}
    found = field(1, 8) + field(7, content)
    return found + b"".join(field(8, field(1, name) + field(2, version)) for name, version in sets.items())


def quantised(values: npt.NDArray[np.float32], axis: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Whole numbers of eight bits, and a scale for each place along an axis."""
    rest = tuple(one for one in range(values.ndim) if one != axis)
    scales = (np.abs(values).max(axis=rest) / 127).astype(np.float32)
    shape = [-1 if one == axis else 1 for one in range(values.ndim)]
    return np.round(values / scales.reshape(shape)).astype(np.int8), scales


def smart_turn(variables: Mapping[str, Array]) -> tuple[bytes, dict[str, Array]]:  # noqa: C901 - helpers within
    """An encoder as Smart Turn's export keeps it, and the variables that its whole numbers stand for.

    Args:
        variables: Of a Whisper, as CTranslate2 names them (`tests.tiny_whisper`).
    """
    of = {name.removeprefix("encoder/"): array.astype(np.float32) for name, array in variables.items()}
    nodes: list[bytes] = []
    constants: list[bytes] = []
    kept = dict(of)
    counter = iter(range(1_000))

    def given(name: str, array: Array) -> str:
        constants.append(tensor(f"inner.encoder.{name}", array))
        return f"inner.encoder.{name}"

    def dequantised(base: str, output: str, array: Array, axis: int) -> Array:
        whole, scales = quantised(array, axis)
        zeros = np.arange(len(scales)).astype(np.int8) % 3
        whole = (whole.astype(int) // 2).astype(np.int8)  # so that there is room for the zeros
        shape = [-1 if one == axis else 1 for one in range(array.ndim)]
        constants.extend([
            tensor(f"{base}_quantized", whole + zeros.reshape(shape)),
            tensor(f"{base}_scale", 2 * scales, raw=False),
            tensor(f"{base}_zero_point", zeros, raw=False),
        ])  # fmt: skip
        nodes.append(
            node("DequantizeLinear", [f"{base}_{part}" for part in ("quantized", "scale", "zero_point")], [output],
                 axis=axis)
        )  # fmt: skip
        return (whole.astype(np.float32) * (2 * scales).reshape(shape)).astype(np.float32)

    def passed(name: str) -> str:
        nodes.append(node("QuantizeLinear", [name, "s", "z"], [f"{name}_whole"]))
        nodes.append(node("DequantizeLinear", [f"{name}_whole", "s", "z"], [f"{name}_back"]))
        return f"{name}_back"

    def multiplied(rows: str, weights: Array) -> tuple[str, Array]:
        name = f"val_{next(counter)}"
        found = dequantised(name, f"{name}_weights", weights.T, 1).T
        nodes.append(node("MatMul", [rows, f"{name}_weights"], [f"{name}_product"]))
        return f"{name}_product", found

    def biased(rows: str, name: str, array: Array, *, turned: bool = False) -> str:
        pair = [passed(rows), given(name, array)]
        nodes.append(node("Add", pair[::-1] if turned else pair, [f"{name}_sum"]))
        return f"{name}_sum"

    given("embed_positions.weight", of["position_encodings/encodings"])
    for name in ("conv1", "conv2"):
        base = f"inner.encoder.{name}"
        kept[f"{name}/weight"] = dequantised(
            f"{base}.weight", f"{base}.weight_DequantizeLinear_Output", of[f"{name}/weight"], 0
        )
        kept[f"{name}/bias"] = dequantised(f"{base}.bias", f"{base}.bias", of[f"{name}/bias"], 0)
    for number in range(sum("ffn/linear_0/weight" in name for name in of)):
        block, named = f"layers.{number}", f"layer_{number}"
        for part, norm in (("self_attention", "self_attn_layer_norm"), ("ffn", "final_layer_norm")):
            given(f"{block}.{norm}.weight", of[f"{named}/{part}/layer_norm/gamma"])
            given(f"{block}.{norm}.bias", of[f"{named}/{part}/layer_norm/beta"])
        rows, found = passed(f"norm_{number}"), []
        weights = np.split(of[f"{named}/self_attention/linear_0/weight"], 3)
        biases = np.split(of[f"{named}/self_attention/linear_0/bias"], 3)
        for part in (1, 0, 2):  # the key first, so that no order can be relied on
            product, whole = multiplied(rows, weights[part])
            found.append((part, whole))
            if part != 1:
                biased(product, f"{block}.self_attn.{'qkv'[part]}_proj.bias", biases[part], turned=part == 2)
        kept[f"{named}/self_attention/linear_0/weight"] = np.concatenate([whole for _, whole in sorted(found)])
        kept[f"{named}/self_attention/linear_0/bias"] = np.concatenate([biases[0], np.zeros_like(biases[1]), biases[2]])
        for name, bias in (
            ("self_attention/linear_1", "self_attn.out_proj"), ("ffn/linear_0", "fc1"), ("ffn/linear_1", "fc2")
        ):  # fmt: skip
            product, kept[f"{named}/{name}/weight"] = multiplied(
                f"before_{number}_{bias}", of[f"{named}/{name}/weight"]
            )
            biased(product, f"{block}.{bias}.bias", of[f"{named}/{name}/bias"])
    return model(graph(nodes, constants)), {f"encoder/{name}": array for name, array in kept.items()}


BANDS, CHANNELS, STEP, WINDOW = 80, 6, 160, 400
"""Of the tiny encoders: a frame for so many samples, over so many; or for each frame of the spectrum."""


def tiny_weights(seed: int = 4) -> tuple[Array, Array, Array]:
    random = np.random.default_rng(seed)
    shapes = (CHANNELS, 1, WINDOW), (CHANNELS, BANDS, 1), (CHANNELS, CHANNELS)
    return tuple((random.standard_normal(one) / np.sqrt(one[-1])).astype(np.float32) for one in shapes)  # type: ignore[return-value]


def tiny_encoder(
    *,
    kind: str = "samples",
    length: int | str = "n",
    bands: int | str | None = None,
    frames: str = "frames",
    extra: Sequence[bytes] = (),
    bad: str = "",
) -> bytes:
    """An encoder of two layers: a convolution, and a product with a matrix; both give frames.

    Args:
        kind: What it takes: `samples`, or `log_mel`.
        length: How many; a name for any.
        bands: How many of the spectrum, by default as many as it needs.
        frames: Name of the dimension of frames.
        extra: More inputs.
        bad: What is wrong with what it gives: `nan`, `pooled`.
    """
    wave, spectrum, mixing = tiny_weights()
    nodes = []
    if kind == "samples":
        entry = value("waveform", "float32", [1, length])
        nodes += [
            node("Unsqueeze", ["waveform", "one"], ["rows"]),
            node("Conv", ["rows", "wave"], ["convolved"], strides=[STEP]),
        ]
    else:
        entry = value("input_features", "float32", ["batch", BANDS if bands is None else bands, length])
        nodes += [node("Conv", ["input_features", "spectrum"], ["convolved"])]
    nodes += [
        node("Transpose", ["convolved"], ["turned"], perm=[0, 2, 1]),
        node("Tanh", ["turned"], ["first"]),
        node("MatMul", ["first", "mixing"], ["mixed"]),
        node({"nan": "Sqrt", "pooled": "Identity", "": "Identity"}[bad], ["mixed"], ["last_hidden_state"]),
    ]
    outputs = [value(name, "float32", [1, frames, CHANNELS]) for name in ("last_hidden_state", "first")]
    if bad == "pooled":
        nodes.append(node("ReduceMean", ["mixed"], ["pooled"], axes=[1], keepdims=0))
        outputs = [value("pooled", "float32", [1, CHANNELS])]
    constants = [
        tensor("wave", wave), tensor("spectrum", spectrum, raw=False), tensor("mixing", mixing),
        tensor("one", np.array([1], np.int64)),
    ]  # fmt: skip
    return model(graph(nodes, constants, [entry, *extra], outputs))


def tiny_frames(given: npt.NDArray[np.float32], kind: str = "samples") -> tuple[Array, Array]:
    """What the layers of `tiny_encoder` give, by NumPy in float64: the second, and the first; (n_frames, CHANNELS).

    Args:
        given: Samples, (n,), or a spectrum, (n_frames, BANDS).
        kind: As of `tiny_encoder`.
    """
    wave, spectrum, mixing = (one.astype(np.float64) for one in tiny_weights())
    if kind == "samples":
        frames = np.lib.stride_tricks.sliding_window_view(given.astype(np.float64), WINDOW)[::STEP]
        first = np.tanh(frames @ wave[:, 0].T)
    else:
        first = np.tanh(given.astype(np.float64) @ spectrum[:, :, 0].T)
    return first @ mixing, first
