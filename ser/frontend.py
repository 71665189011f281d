"""The front-end: from a recording to the vectors that a model reads, the same in training and in serving.

A recording is peak-normalised, cut into pieces of one length, given to each extractor; the features of a piece
are flattened and joined. What was fitted travels with the model: the extractors' arrays and the standardiser.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ser.audio import Samples
from ser.config import Config, parse
from ser.errors import DamagedError, SerError
from ser.features import EXTRACTORS, About, FeatureExtractor

Array = npt.NDArray[Any]
Features = npt.NDArray[np.float32]
_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Block:
    """Where one extractor's features lie in a piece's vector."""

    name: str
    """The extractor's registered name."""
    shape: tuple[int, ...]
    """The features' shape before they were flattened."""
    start: int
    """First column."""
    stop: int
    """Column after the last."""


@dataclass(frozen=True)
class Standardiser:
    """Column-wise (x - mean) / deviation, fitted on training pieces.

    A column that does not vary in training becomes zero: dividing by its deviation would blow a value never
    seen, as the one-hot of a new speaker, up to infinity.
    """

    mean: Features
    """float32, shape (n_features,)."""
    inverse_deviation: Features
    """float32, shape (n_features,); 0 where the deviation is 0."""

    @classmethod
    def fit(
        cls, rows: npt.NDArray[np.float32], index: npt.NDArray[np.int64] | None = None, *, chunk: int = 4096
    ) -> Self:
        """Fits on rows.

        Args:
            rows: float32, shape (n, n_features); may be memory-mapped.
            index: Numbers of the rows that count, int64; by default all.
            chunk: Rows that are in memory at once.
        """
        if index is None:
            index = np.arange(len(rows))
        parts = [index[start : start + chunk] for start in range(0, len(index), chunk)]
        # Two passes in float64: exact enough for any offset, and no second copy of the rows.
        total = sum((rows[part].sum(axis=0, dtype=np.float64) for part in parts), np.zeros(rows.shape[1]))
        mean = total / len(index)
        squares = sum((np.square(rows[part] - mean).sum(axis=0) for part in parts), np.zeros(rows.shape[1]))
        deviation = np.sqrt(squares / len(index))
        constant = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-6)
        inverse = np.where(constant, 0.0, 1.0 / np.where(constant, 1.0, deviation))
        return cls(mean.astype(np.float32), inverse.astype(np.float32))

    def __call__(self, rows: npt.NDArray[np.float32]) -> Features:
        """Standardised rows, float32, shape as given."""
        standardised: Features = (rows - self.mean) * self.inverse_deviation
        return standardised


@dataclass(frozen=True)
class StandardisedRows:
    """Some rows of a feature set, standardised when they are read: never all in memory.

    Attributes:
        rows: float32, shape (n_all, n_features); memory-mapped.
        index: int64, shape (n,): which of them.
        standardiser: Applied to what is read.
    """

    rows: npt.NDArray[np.float32]
    index: npt.NDArray[np.int64]
    standardiser: Standardiser

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n_features)."""
        return len(self.index), self.rows.shape[1]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, numbers: npt.NDArray[np.int64]) -> Features:
        wanted = self.index[numbers]
        ascending = np.argsort(wanted, kind="stable")  # the disk is read forward
        read = np.empty((len(wanted), self.rows.shape[1]), dtype=np.float32)
        for start in range(0, len(wanted), _ROWS_AT_ONCE):  # copies on the way are of so many rows only
            part = ascending[start : start + _ROWS_AT_ONCE]
            read[part] = self.standardiser(self.rows[wanted[part]])
        return read

    def blocks(self, size: int = 4096) -> Iterator[Features]:
        """All rows in their order, so many at a time: float32, shape (up to size, n_features)."""
        for start in range(0, len(self), size):
            yield self[np.arange(start, min(start + size, len(self)))]


class FrontEnd:
    """Recording to vectors, one a piece.

    Attributes:
        piece_samples: Length of a piece in samples.
        normalize: Whether each recording is divided by its peak.
        extractors: By registered name, in the order of their columns.
    """

    def __init__(self, piece_samples: int, *, normalize: bool, extractors: Mapping[str, FeatureExtractor[Any]]) -> None:
        self.piece_samples = piece_samples
        self.normalize = normalize
        self.extractors = dict(extractors)
        self.blocks = tuple(self._lay_out())

    @classmethod
    def create(
        cls, piece_samples: int, methods: Mapping[str, Config], corpus: Sequence[About], *, normalize: bool
    ) -> Self:
        """Makes the front-end of a corpus; may use librosa.

        Args:
            piece_samples: Length of a piece in samples.
            methods: Registered name of each extractor to its validated config.
            corpus: What is known of each recording.
            normalize: Whether each recording is divided by its peak.

        Raises:
            ConfigError: If a config cannot be realised.
        """
        extractors = {name: EXTRACTORS.get(name).create(config, corpus) for name, config in methods.items()}
        return cls(piece_samples, normalize=normalize, extractors=extractors)

    @property
    def num_features(self) -> int:
        """Columns of a piece's vector."""
        return self.blocks[-1].stop

    def split(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Cuts a recording into pieces; the last is padded with zeros.

        Args:
            samples: float32, shape (n_samples,), not empty.

        Returns:
            float32, shape (ceil(n_samples / piece_samples), piece_samples).
        """
        pieces = np.empty((num_pieces(len(samples), self.piece_samples), self.piece_samples), dtype=np.float32)
        self._split(samples, pieces)
        return pieces

    def transform(self, samples: Samples, about: About) -> Features:
        """The features of a recording: float32, shape (n_pieces, num_features), not standardised."""
        return self.transform_all([(samples, about)])

    def transform_all(self, recordings: Sequence[tuple[Samples, About]]) -> Features:
        """The features of several recordings, one after the other; faster than one by one.

        Returns:
            float32, shape (sum of the recordings' n_pieces, num_features), not standardised.
        """
        counts = [num_pieces(len(samples), self.piece_samples) for samples, _ in recordings]
        pieces = np.empty((sum(counts), self.piece_samples), dtype=np.float32)
        about: list[About] = []
        for count, (samples, who) in zip(counts, recordings, strict=True):
            self._split(samples, pieces[len(about) : len(about) + count])
            about += [who] * count
        rows = np.empty((len(pieces), self.num_features), dtype=np.float32)
        for block, extractor in zip(self.blocks, self.extractors.values(), strict=True):
            rows[:, block.start : block.stop] = extractor.extract(pieces, about).reshape(len(pieces), -1)
        return rows

    def unknown(self, about: About) -> tuple[str, ...]:
        """Which properties of `about` the features would use and cannot: not given, or not in the corpus."""
        return tuple(name for extractor in self.extractors.values() for name in extractor.unknown(about))

    def settings(self) -> dict[str, Any]:
        """All but the arrays, as JSON; `load` takes it back."""
        return {
            "piece_samples": self.piece_samples,
            "normalize": self.normalize,
            "methods": {name: extractor.config.model_dump() for name, extractor in self.extractors.items()},
        }

    def save(self, path: Path, standardiser: Standardiser | None = None) -> None:
        """Writes the arrays, and the standardiser's if there is one, to an .npz file."""
        arrays = {
            f"{name}/{key}": value
            for name, extractor in self.extractors.items()
            for key, value in extractor.arrays.items()
        }
        if standardiser is not None:
            arrays["standardiser/mean"] = standardiser.mean
            arrays["standardiser/inverse_deviation"] = standardiser.inverse_deviation
        save_arrays(path, arrays)

    @classmethod
    def load(cls, path: Path, settings: Mapping[str, Any]) -> Self:
        """Makes a front-end from what `save` and `settings` kept; no librosa is needed.

        Raises:
            DamagedError: If the file or the settings are not what was written.
        """
        arrays = load_arrays(path)
        try:
            extractors = {}
            for name, config in settings["methods"].items():
                extractor = EXTRACTORS.get(name)
                own = {
                    key.removeprefix(f"{name}/"): value for key, value in arrays.items() if key.startswith(f"{name}/")
                }
                extractors[name] = extractor(parse(extractor.Config, config), own)
            return cls(settings["piece_samples"], normalize=settings["normalize"], extractors=extractors)
        except (KeyError, SerError) as error:
            raise DamagedError(f"{path} does not fit its settings: {error}") from error

    def _split(self, samples: Samples, pieces: npt.NDArray[np.float32]) -> None:
        """Writes a recording's pieces into contiguous rows; every pass over the samples counts."""
        flat = pieces.reshape(-1)
        peak = max(samples.max(), -samples.min()) if self.normalize else np.float32(1)
        np.divide(samples, peak if peak > 0 else np.float32(1), out=flat[: len(samples)])
        flat[len(samples) :] = 0

    def _lay_out(self) -> Iterable[Block]:
        start = 0
        for name, extractor in self.extractors.items():
            shape = extractor.shape(self.piece_samples)
            stop = start + math.prod(shape)
            yield Block(name, shape, start, stop)
            start = stop


def num_pieces(num_samples: int, piece_samples: int) -> int:
    """How many pieces a recording is cut into."""
    return -(-num_samples // piece_samples)


def load_standardiser(path: Path) -> Standardiser:
    """The standardiser that `FrontEnd.save` kept.

    Raises:
        DamagedError: If there is none.
    """
    arrays = load_arrays(path)
    try:
        return Standardiser(arrays["standardiser/mean"], arrays["standardiser/inverse_deviation"])
    except KeyError as missing:
        raise DamagedError(f"{path} lacks {missing}") from None


def save_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Writes arrays to an .npz file; numbers, booleans and strings only, never pickled objects."""
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **dict(arrays))


def load_arrays(path: Path) -> dict[str, Array]:
    """Reads all arrays of an .npz file, refusing pickled ones.

    Raises:
        DamagedError: If the file is missing or is not an .npz of plain arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except FileNotFoundError:
        raise DamagedError(f"{path} is missing") from None
    except (ValueError, OSError, EOFError, KeyError) as error:
        raise DamagedError(f"{path} is not the arrays that were written there: {error}") from None
