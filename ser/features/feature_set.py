"""Features of many recordings: one row a piece, one sample a recording.

A feature folder is a feature set on disk; the validation part of one travels in the model bundle.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ser.errors import DamagedError
from ser.features import About
from ser.storage.arrays import Expected, check_arrays, load_arrays, save_arrays, unpack_arrays


@dataclass(frozen=True)
class Sample:
    """One recording's row in the sample table."""

    name: str
    """The file's name."""
    speaker: str
    gender: str
    text: str
    emotion: str
    """The ground truth."""
    seconds: float
    pieces: int
    """How many rows of features it has."""
    corpus: str = ""
    """Which of the corpora it is from; see `Clip.corpus`."""

    @property
    def about(self) -> About:
        """Who speaks and what is said."""
        return About(self.speaker, self.gender, self.text)


_DTYPES: dict[str, type[Any]] = {"str": np.str_, "float": np.float64, "int": np.int64}
TABLE: Mapping[str, Expected] = MappingProxyType(
    {
        field.name: Expected({"float": "float64", "int": "int64"}.get(str(field.type), "str"), (None,))
        for field in fields(Sample)
    }
)
"""What the columns of a sample table are, as arrays."""


@dataclass(frozen=True)
class FeatureSet:
    """Rows of features and the samples they belong to.

    Attributes:
        rows: float32, shape (n_pieces, n_features), not standardised, in the order of the samples; may be
            memory-mapped.
        samples: One a recording.
        virtual: float32, shape (n_pieces, n_voices, n_features): the rows by virtual speakers, to learn from; None if
            there are none.
    """

    rows: npt.NDArray[np.float32]
    samples: tuple[Sample, ...]
    virtual: npt.NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        pieces = sum(sample.pieces for sample in self.samples)
        if self.rows.ndim != 2 or len(self.rows) != pieces:
            raise ValueError(f"expected {pieces} rows for {len(self.samples)} samples, got {self.rows.shape}")
        if self.virtual is not None and (len(self.virtual), self.virtual.shape[2]) != self.rows.shape:
            raise ValueError(f"expected {self.rows.shape} of each virtual speaker, got {self.virtual.shape}")

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """int64, shape (n_samples,): each sample's first row."""
        lengths = np.array([sample.pieces for sample in self.samples], dtype=np.int64)
        return np.cumsum(lengths) - lengths

    @property
    def classes(self) -> tuple[str, ...]:
        """The emotions that occur, sorted."""
        return tuple(sorted({sample.emotion for sample in self.samples}))

    def labels(self, classes: Sequence[str]) -> npt.NDArray[np.int64]:
        """int64, shape (n_pieces,): each row's index into `classes`."""
        return row_labels(self.samples, classes)

    @property
    def speakers(self) -> tuple[str, ...]:
        """Each row's speaker; empty where it is not known."""
        return tuple(sample.speaker for sample in self.samples for _ in range(sample.pieces))

    def select(self, names: Iterable[str]) -> Self:
        """The samples with these names, in this set's order, with a copy of their rows."""
        wanted = set(names)
        chosen = tuple(sample for sample in self.samples if sample.name in wanted)
        return type(self)(np.ascontiguousarray(self.rows[self.numbers(wanted)]), chosen)

    def numbers(self, names: Collection[str]) -> npt.NDArray[np.int64]:
        """int64: the numbers of the rows of the samples with these names, ascending."""
        chosen = np.array([sample.name in names for sample in self.samples], dtype=bool)
        return np.flatnonzero(np.repeat(chosen, [sample.pieces for sample in self.samples]))

    def average(self, per_piece: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The mean over each sample's pieces.

        Args:
            per_piece: float32, shape (n_pieces, n).

        Returns:
            float32, shape (n_samples, n).
        """
        sums = np.add.reduceat(per_piece.astype(np.float64), self.starts, axis=0)
        means: npt.NDArray[np.float64] = sums / np.array([[sample.pieces] for sample in self.samples])
        return means.astype(np.float32)

    def save(self, path: Path) -> None:
        """Writes rows and sample table into one .npz file."""
        save_arrays(path, {"rows": self.rows, **sample_table(self.samples)})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            DamagedError: If it is missing or something else.
        """
        return cls.from_arrays(load_arrays(path), str(path))

    @classmethod
    def unpack(cls, content: bytes, where: str) -> Self:
        """As `load`, of the file's bytes.

        Args:
            content: The bytes.
            where: What to call the file in an error.

        Raises:
            DamagedError: If it is something else.
        """
        return cls.from_arrays(unpack_arrays(content, where), where)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], where: str) -> Self:
        """As `load`, of the file's arrays.

        Raises:
            DamagedError: If they are no feature set.
        """
        check_arrays(arrays, {"rows": Expected("float32", (None, None)), **TABLE}, where)
        try:
            return cls(arrays["rows"], samples_of(arrays))
        except ValueError as error:
            raise DamagedError(f"{where} is not a feature set: {error}") from None


def row_labels(samples: Sequence[Sample], classes: Sequence[str]) -> npt.NDArray[np.int64]:
    """int64, shape (n_pieces,): the index into `classes` of each row of the samples.

    Raises:
        KeyError: If a sample's emotion is none of the classes.
    """
    index = {emotion: number for number, emotion in enumerate(classes)}
    return np.repeat([index[sample.emotion] for sample in samples], [sample.pieces for sample in samples])


def sample_table(samples: Sequence[Sample]) -> dict[str, npt.NDArray[Any]]:
    """The samples as one array a column."""
    return {
        field.name: np.array([getattr(s, field.name) for s in samples], dtype=_DTYPES[str(field.type)])
        for field in fields(Sample)
    }


def samples_of(table: Mapping[str, npt.NDArray[Any]]) -> tuple[Sample, ...]:
    """The inverse of `sample_table`, of columns as `TABLE` has them.

    Raises:
        ValueError: If columns differ in length, a name comes twice, or a sample has no pieces or a negative length.
    """
    columns = [table[name].tolist() for name in TABLE]
    samples = tuple(Sample(*row) for row in zip(*columns, strict=True))
    if len({sample.name for sample in samples}) != len(samples):
        raise ValueError("expected each name once")
    if any(sample.pieces < 1 or sample.seconds < 0 for sample in samples):
        raise ValueError("expected one piece or more of each sample, and no negative length")
    return samples
