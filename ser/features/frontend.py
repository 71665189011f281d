"""The front-end: from a recording to the vectors that a model reads, the same in training and in serving.

A recording is peak-normalised, cut into pieces of one length, given to each extractor; the features of a piece
are flattened and joined. What was fitted travels with the model: the extractors' arrays and the standardiser.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ser.audio.recordings import MAX_SECONDS, SAMPLE_RATE_HZ, Check, Samples
from ser.config import Config, Flag, Whole, parse
from ser.errors import DamagedError, SerError
from ser.features import EXTRACTORS, About, FeatureExtractor
from ser.features.standardiser import Standardiser
from ser.speakers.statistics import SpeakerStatistics
from ser.storage.arrays import Expected, check_arrays, load_arrays, save_arrays, unpack_arrays

Features = npt.NDArray[np.float32]
_BLOCK_SAMPLES = 30 * SAMPLE_RATE_HZ
"""Sound that is analysed at once: what lies between does not grow with the recording, and its caller is asked whether
the answer is still wanted. Batches of a feature extraction are shorter."""
_STANDARDISER = "standardiser/"
_MEAN, _INVERSE_DEVIATION = f"{_STANDARDISER}mean", f"{_STANDARDISER}inverse_deviation"
_MISFITS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)
"""What an extractor that is not SER's own may raise of arrays that are not its own."""


class FrontEndSettings(Config):
    """The front-end's settings as a bundle or a feature folder keeps them."""

    piece_samples: Annotated[Whole, Field(ge=1, le=int(MAX_SECONDS * SAMPLE_RATE_HZ))]
    """Length of a piece in samples."""
    normalize: Flag
    """Whether each recording is divided by its peak."""
    methods: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
    """Registered name of each extractor to its config."""


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

    def transform(self, samples: Samples, about: About, *, check: Check | None = None) -> Features:
        """The features of a recording: float32, shape (n_pieces, num_features), not standardised."""
        return self.transform_all([(samples, about)], check=check)

    def transform_all(self, recordings: Sequence[tuple[Samples, About]], *, check: Check | None = None) -> Features:
        """The features of several recordings, one after the other; faster than one by one.

        Args:
            recordings: The samples of each, and who speaks.
            check: Called between blocks of pieces; what it raises ends the work.

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
        at_once = max(1, _BLOCK_SAMPLES // self.piece_samples)
        for start in range(0, len(pieces), at_once):
            if check is not None:
                check()
            part = slice(start, start + at_once)
            for block, extractor in zip(self.blocks, self.extractors.values(), strict=True):
                columns = extractor.extract(pieces[part], about[part])
                rows[part, block.start : block.stop] = columns.reshape(len(columns), -1)
        return rows

    def unknown(self, about: About) -> tuple[str, ...]:
        """Which properties of `about` the features would use and cannot: not given, or not in the corpus."""
        return tuple(name for extractor in self.extractors.values() for name in extractor.unknown(about))

    def statistics(self, rows: npt.NDArray[np.float32], *, clips: int) -> SpeakerStatistics:
        """What is summed of clips of one speaker, for models that adapt to speakers.

        Args:
            rows: float32, shape (n_pieces, num_features), not standardised: all pieces of the clips.
            clips: How many clips they are of.
        """
        parts = [
            extractor.statistics(rows[:, block.start : block.stop].reshape(len(rows), *block.shape))
            for block, extractor in zip(self.blocks, self.extractors.values(), strict=True)
        ]
        return SpeakerStatistics(clips, *(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def statistics_widths(self) -> dict[str, int]:
        """How many of the numbers of `statistics` each extractor has, by its name, in their order."""
        return {
            name: len(extractor.statistics(np.zeros((1, *block.shape), dtype=np.float32))[0])
            for block, (name, extractor) in zip(self.blocks, self.extractors.items(), strict=True)
        }

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
            arrays |= {_MEAN: standardiser.mean, _INVERSE_DEVIATION: standardiser.inverse_deviation}
        save_arrays(path, arrays)

    @classmethod
    def load(cls, path: Path, settings: Mapping[str, Any]) -> Self:
        """Makes a front-end from what `save` and `settings` kept; no librosa is needed.

        Raises:
            DamagedError: If the file or the settings are not what was written.
        """
        arrays = {name: array for name, array in load_arrays(path).items() if not name.startswith(_STANDARDISER)}
        return cls.from_arrays(arrays, settings, str(path))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], settings: Mapping[str, Any], where: str) -> Self:
        """Makes a front-end of its arrays and its settings.

        Args:
            arrays: Of all extractors, as `save` names them; no others.
            settings: As of `settings`.
            where: What to call the arrays' file in an error.

        Raises:
            DamagedError: If they are not what was written.
        """
        try:
            checked = parse(FrontEndSettings, settings)
            types = {name: EXTRACTORS.get(name) for name in checked.methods}
            own: dict[str, dict[str, npt.NDArray[Any]]] = {name: {} for name in types}
            for key, array in arrays.items():
                name, _, of_extractor = key.partition("/")
                if name not in own:
                    raise DamagedError(f"{key[:100]!r} belongs to no method")
                own[name][of_extractor] = array
            extractors = {
                name: _extractor(of_type, checked.methods[name], own[name], f"{where}: {name}")
                for name, of_type in types.items()
            }
            return cls(checked.piece_samples, normalize=checked.normalize, extractors=extractors)
        except (SerError, *_MISFITS) as error:
            raise DamagedError(f"{where} does not fit its settings: {error}") from error

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


def unpack_frontend(content: bytes, settings: Mapping[str, Any], where: str) -> tuple[FrontEnd, Standardiser]:
    """The front-end and the standardiser of a model.

    Args:
        content: The bytes of the file that `FrontEnd.save` wrote, with a standardiser.
        settings: As of `FrontEnd.settings`.
        where: What to call the file in an error.

    Raises:
        DamagedError: If they are not what was written.
    """
    arrays = unpack_arrays(content, where)
    scaling = {name: arrays.pop(name) for name in list(arrays) if name.startswith(_STANDARDISER)}
    frontend = FrontEnd.from_arrays(arrays, settings, where)
    column = Expected("float32", (frontend.num_features,))
    check_arrays(scaling, {_MEAN: column, _INVERSE_DEVIATION: column}, where)
    return frontend, Standardiser(scaling[_MEAN], scaling[_INVERSE_DEVIATION])


def _extractor(
    of_type: type[FeatureExtractor[Any]], config: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]], where: str
) -> FeatureExtractor[Any]:
    checked = parse(of_type.Config, config)
    schema = of_type.array_schema(checked)
    if schema is not None:
        check_arrays(arrays, schema, where)
    return of_type(checked, arrays)
