"""What each expert reads of each training row, block by block: never all in memory.

Vectors that are features, or features and a profile, are made when they are wanted. What a network has to compute of
frames is computed once, and lies in a file where it is large.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ser.experts.description import VECTORS, Columns
from ser.experts.profiles import Profiles
from ser.features.frontend import Block
from ser.features.standardiser import RowSource
from ser.features.training_set import TrainingSet
from ser.os_errors import about
from ser.storage.row_file import RowFile

if TYPE_CHECKING:
    import keras

Array = npt.NDArray[np.float32]

_BLOCK_ROWS = 64
_MEMORY_BYTES = 256 << 20
"""What is computed of frames stays in memory up to here."""


@dataclass(frozen=True)
class VectorRows:
    """The vectors of one extractor, as they are, or scaled by the profile of who speaks each row."""

    rows: RowSource
    """The features of each training row."""
    block: Block
    """The extractor's, among the features."""
    scaling: tuple[Array, Array, npt.NDArray[np.int64]] | None = None
    """Mean and 1 / deviation of each profile, float32, shape (n_profiles, n_columns), and int64, shape (n,): which of
    them is each row's."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n_columns)."""
        return len(self.rows), self.block.stop - self.block.start

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, numbers: npt.NDArray[np.int64]) -> Array:
        values = self.rows[numbers][:, self.block.start : self.block.stop]
        if self.scaling is not None:
            mean, inverse, of_row = self.scaling
            values = values - mean[of_row[numbers]]
            values *= inverse[of_row[numbers]]
        return values


def describe_rows(
    training: TrainingSet,
    columns: Columns,
    profiles: Profiles | None,
    inputs: keras.KerasTensor,
    descriptions: Sequence[Mapping[str, keras.KerasTensor]],
    folder: Path,
) -> list[RowSource]:
    """The description of every row, one for each expert of each description, in their order.

    Args:
        training: The rows.
        columns: Where in them is what.
        profiles: Of who speaks each, where there is a description that adapts.
        inputs: The network's.
        descriptions: As of `ser.experts.description.describe`, of which the second adapts.
        folder: Where files may be made.
    """
    import keras

    computed = [part for parts in descriptions for name, part in parts.items() if name not in VECTORS]
    found: Iterator[RowSource] = iter(())
    if computed:
        found = iter(_computed_rows(keras.Model(inputs, computed), training, profiles, folder))

    def rows_of(name: str, profiles: Profiles | None) -> RowSource:
        if name not in VECTORS:
            return next(found)
        block = columns.vectors[name]
        if profiles is None:
            return VectorRows(training.rows, block)
        mean, inverse = (profiles.each[:, columns.in_profile(block.name, which)] for which in (0, 1))
        return VectorRows(training.rows, block, (mean, inverse, profiles.of_row))

    return [
        rows_of(name, profiles if adapts else None)
        for adapts, parts in zip((False, True), descriptions, strict=False)
        for name in parts
    ]


def _computed_rows(
    model: keras.Model, training: TrainingSet, profiles: Profiles | None, folder: Path
) -> list[RowSource]:
    """What a network makes of every row, one for each of its outputs; in files where it is large."""
    import tensorflow as tf

    count = len(training.rows)
    widths = [int(output.shape[1]) for output in model.outputs]
    held = 4 * count * sum(widths) <= _MEMORY_BYTES
    found: list[Array] = [
        np.empty((count, width), dtype=np.float32) if held else _on_disk(folder / f"{number}.npy", (count, width))
        for number, width in enumerate(widths)
    ]
    # One output comes by itself, several as a list.
    run = tf.function(lambda rows: tf.nest.flatten(model(rows, training=False)), reduce_retracing=True)
    for start in range(0, count, _BLOCK_ROWS):
        numbers = np.arange(start, min(start + _BLOCK_ROWS, count))
        rows = training.rows[numbers]
        if profiles is not None:
            rows = np.concatenate([rows, profiles[numbers]], axis=1)
        for array, part in zip(found, run(rows), strict=True):
            array[numbers] = part.numpy()
    # What a map has shown stays in memory until it is needed for something else; what a file is read for does not.
    return [RowFile(array) if isinstance(array, np.memmap) else array for array in found]


def _on_disk(path: Path, shape: tuple[int, int]) -> Array:
    """An array in a file, whose room is taken at once: a full disk would end the process when it is written to."""
    array = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    with about(path), path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array
