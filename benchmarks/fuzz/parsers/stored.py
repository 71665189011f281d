"""The files of a model folder and of enrolled speakers, with digests that fit: whoever can write a folder can do that.

What passes is opened as the server opens it, and predicts: a prediction is finite and sums to 1, or there is an error.
"""

from __future__ import annotations

import io
import json
import random
import zipfile
from base64 import b64decode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.fuzz.mutation import mutate
from benchmarks.fuzz.parser import Parser, Surroundings, expect
from benchmarks.fuzz.trees import mutate_tree
from benchmarks.models import copy_as
from ser.bundles.bundle import Bundle
from ser.bundles.manifest import FRONTEND, MANIFEST, SPEAKERS, TFLITE, VALIDATION
from ser.features import About
from ser.predictor import Prediction, Predictor
from ser.storage.arrays import unpack_arrays
from ser.storage.files import sha256
from ser.storage.strict_json import fingerprint

_MODEL = "Model-0123456789ab"
_SPEAKER = "anna"
Array = npt.NDArray[Any]


def npz(around: Surroundings) -> Parser:
    """`ser.storage.arrays.unpack_arrays`: any bytes."""
    seeds = [path.read_bytes() for path in (*around.plain.glob("*.npz"), *around.adaptive.glob("*.npz"))]
    small = [min(seeds, key=len), _packed({"a": np.arange(3), "b": np.array(["x", "yz"])})]

    def take(data: bytes) -> None:
        for name, array in unpack_arrays(data, "fuzz.npz").items():
            expect(not array.dtype.hasobject, f"no objects, {name} has some")

    return Parser(lambda rng: mutate(rng, small) if rng.random() < 0.5 else _changed_npz(rng, rng.choice(seeds)), take)


def manifest(around: Surroundings) -> Parser:
    """`manifest.json`: JSON of any shape with a digest that fits, or any bytes."""
    model = _Model(around, around.plain)
    content = model.content(MANIFEST)
    tree = {name: value for name, value in json.loads(content).items() if name != "digest"}

    def make(rng: random.Random) -> bytes:
        return mutate_tree(rng, tree, list(tree)) if rng.random() < 0.8 else mutate(rng, [content])

    def take(data: bytes) -> None:
        try:
            changed = json.loads(data)
            data = json.dumps({**changed, "digest": fingerprint(changed)}).encode()
        except (ValueError, TypeError, RecursionError):
            pass  # as it is, then
        model.write(MANIFEST, data)
        model.use(sample=len(data) % 2 == 0)

    return Parser(make, take)


def frontend(around: Surroundings) -> Parser:
    """`frontend.npz`."""
    return _file_of_a_model(around, around.plain, FRONTEND, _changed_npz)


def validation(around: Surroundings) -> Parser:
    """`validation.npz`."""
    return _file_of_a_model(around, around.plain, VALIDATION, _changed_npz)


def statistics(around: Surroundings) -> Parser:
    """`speakers.npz`, of a model that adapts."""
    return _file_of_a_model(around, around.adaptive, SPEAKERS, _changed_npz)


def tflite(around: Surroundings) -> Parser:
    """`model.tflite`: most of what passes its reader was never meant to meet a stranger's bytes."""
    return _file_of_a_model(around, around.plain, TFLITE, lambda rng, content: mutate(rng, [content]))


def speakers(around: Surroundings) -> Parser:
    """The file of somebody who enrolled."""
    model = _Model(around, around.adaptive)
    model.write_manifest()
    predictor = Predictor(model.folder.parent, _MODEL)
    heard = predictor.listen(_sound())
    predictor.speakers.enroll(_SPEAKER, heard)
    path = next((model.folder.parent / ".speakers").rglob(f"{_SPEAKER}.npz"))
    content = path.read_bytes()

    def take(data: bytes) -> None:
        path.write_bytes(data)
        fresh = Predictor(model.folder.parent, _MODEL)
        fresh.bundle.__dict__.update(
            {name: getattr(predictor.bundle, name) for name in ("frontend", "standardiser", "model", "adaptation")}
        )
        fresh.speakers.list()
        known = fresh.known(_SPEAKER)
        expect(known is not None, "a voice that is there is known, or refused")
        _check(fresh.predict_samples(_sound(), about=About(), name="a", speaker=known))

    def make(rng: random.Random) -> bytes:
        return _changed_npz(rng, content) if rng.random() < 0.7 else mutate(rng, [content])

    return Parser(make, take)


class _Model:
    """A copy of a model whose files are changed one at a time."""

    def __init__(self, around: Surroundings, model: Path) -> None:
        self.folder = around.scratch / "models" / _MODEL
        copy_as(model, self.folder)
        self._manifest = json.loads(self.content(MANIFEST))
        del self._manifest["digest"]
        self._sound = _sound()

    def content(self, name: str) -> bytes:
        """One of its files, as it is."""
        return (self.folder / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        """Changes one."""
        (self.folder / name).write_bytes(data)

    def write_manifest(self, *changed: str) -> None:
        """Makes the manifest fit."""
        files = self._manifest["files"] | {name: sha256(self.folder / name) for name in changed}
        content = self._manifest | {"files": files}
        self.write(MANIFEST, json.dumps({**content, "digest": fingerprint(content)}).encode())

    def use(self, *, sample: bool) -> None:
        """Opens it as a server does, and predicts a held-out sample or a recording."""
        predictor = Predictor(self.folder.parent, _MODEL)
        bundle: Bundle = predictor.bundle
        bundle.frontend, bundle.standardiser, bundle.model, bundle.adaptation  # noqa: B018 - reads them
        if sample and bundle.manifest.validation_samples:
            _check(predictor.predict_sample(bundle.manifest.validation_samples[0]))
        else:
            _check(predictor.predict_samples(self._sound, about=About("03", "male", "a01"), name="a"))


def _file_of_a_model(
    around: Surroundings, folder: Path, name: str, change: Callable[[random.Random, bytes], bytes]
) -> Parser:
    model = _Model(around, folder)
    content = model.content(name)

    def take(data: bytes) -> None:
        model.write(name, data)
        model.write_manifest(name)
        model.use(sample=name == VALIDATION or (name == SPEAKERS and len(data) % 2 == 0))

    return Parser(lambda rng: change(rng, content) if rng.random() < 0.8 else mutate(rng, [content]), take)


def _check(prediction: Prediction) -> None:
    values = list(prediction.probabilities.values())
    expect(bool(np.isfinite(values).all()), f"finite probabilities, got {values}")
    expect(abs(sum(values) - 1) < 1e-3, f"probabilities that sum to 1, got {values}")
    expect(prediction.prediction in prediction.probabilities, f"a label, got {prediction.prediction!r}")


def _sound() -> npt.NDArray[np.float32]:
    samples: npt.NDArray[np.float32] = (0.5 * np.sin(2 * np.pi * 220 / 16_000 * np.arange(8_000))).astype(np.float32)
    return samples


def _packed(arrays: Mapping[str, Array]) -> bytes:
    """As `numpy.savez`, but the same each time, and with objects, which must be refused."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=True)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())
    return buffer.getvalue()


def _changed_npz(rng: random.Random, content: bytes) -> bytes:
    """The arrays of an .npz with one or two of them changed."""
    arrays = dict(np.load(io.BytesIO(content)))
    for _ in range(rng.choice((1, 1, 2))):
        name = rng.choice(list(arrays))
        array = arrays.pop(name)
        match rng.randrange(12):
            case 0:
                pass  # it is gone
            case 1:
                arrays[rng.choice((name.upper(), "", "x/" + name, name + "é"))] = array
            case _:
                arrays[name] = _changed_array(rng, array)
        if not arrays:
            break
    return _packed(arrays)


_ODD = (float("nan"), float("inf"), -float("inf"), 0.0, -1.0, 1e12, 1e38, 1e-38, 3.5, 2.0**31)
_DATES = "M8[s]"
_TYPES = (
    "float64",
    "float32",
    "float16",
    "int8",
    "int64",
    "uint8",
    "bool",
    "complex64",
    "U3",
    "S2",
    "O",
    _DATES,
    ">f4",
)


def _changed_array(rng: random.Random, array: Array) -> Array:
    with np.errstate(all="ignore"):
        match rng.randrange(7):
            case 0 | 1 if array.dtype.kind in "fi" and array.size:
                copy = array.copy()
                values = _ODD if array.dtype.kind == "f" else (0, 1, -1, np.iinfo(array.dtype).max)
                at = rng.randrange(array.size) if rng.random() < 0.5 else slice(None)
                copy.reshape(-1)[at] = rng.choice(values)
                return copy
            case 2 if array.ndim:
                return rng.choice(
                    (array[None], array.reshape(-1), array[:0], array[..., :1], array.T, array[..., None])
                )
            case 2:
                return rng.choice((array[None], np.repeat(array, 3)))
            case 3 if array.ndim:
                return rng.choice((array[:-1], np.concatenate([array, array]), array[1:], array[::2], array[::-1]))
            case 4:
                return np.array(rng.choice((0, 1.5, "x", b"y", True, None, [], [[]], [1, 2], ["a", "\ud800"[:0]])))
            case _:
                kind = rng.choice(_TYPES)
                if kind == _DATES and array.dtype.kind in "SU":  # NumPy itself crashes on some that are no dates
                    return np.zeros(array.shape, kind)
                try:
                    return array.astype(kind)
                except (ValueError, TypeError, OverflowError, RuntimeError):  # the last of dates as short texts
                    return np.array(b64decode("AA=="))
