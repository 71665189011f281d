"""What a feature extractor is, and the registry of them.

An extractor is created once, from its config and what is known of the corpus; creating may use librosa. What
it has then is arrays, which travel with the model; extracting needs NumPy and SciPy only, so that training and
serving run the same code.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt

from ser.config import Config
from ser.encoders.catalogue import EncoderRecord
from ser.registry import Registry
from ser.speakers.statistics import Vector, statistics_of
from ser.storage.arrays import Expected

ConfigT = TypeVar("ConfigT", bound=Config)
Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class About:
    """What is known of who speaks and what is said; None where it is not."""

    speaker: str | None = None
    gender: str | None = None
    text: str | None = None


class FeatureExtractor(abc.ABC, Generic[ConfigT]):
    """Turns pieces of recordings into features.

    Attributes:
        config: The validated config.
        arrays: All that was computed when the extractor was created, by name; no object arrays.
    """

    Config: ClassVar[type[Config]]
    whole_clips: ClassVar[bool] = False
    """Whether it hears clips at their own length only: pieces are as long as the longest then. What it makes of a clip
    is the same to the bit whatever zeros are behind it, and whatever else is computed or known: so it is not computed
    again where the clip comes again (`ser.steps.known_clips`)."""

    def __init__(self, config: ConfigT, arrays: Arrays) -> None:
        self.config = config
        self.arrays = arrays

    @classmethod
    @abc.abstractmethod
    def create(cls, config: ConfigT, corpus: Sequence[About]) -> Self:
        """Makes an extractor for a corpus.

        Args:
            config: The validated config.
            corpus: One entry a recording.

        Raises:
            ConfigError: If the config cannot be realised; its field is relative to the config.
        """

    @classmethod
    def array_schema(cls, config: ConfigT) -> Mapping[str, Expected] | None:  # noqa: ARG003 - for those that have one
        """What the arrays must be when they are read back from a file that a stranger may have written.

        Args:
            config: The validated config.

        Returns:
            dtype and shape of each array; there are no others. None, the default, has them given to the constructor
            as they are: numbers that are finite, strings and booleans, of any shape.
        """
        return None

    @classmethod
    def encoders(cls, config: ConfigT) -> tuple[EncoderRecord, ...]:  # noqa: ARG003 - for those that have one
        """The pretrained encoders that it extracts by; none by default. They must be on the machine that extracts."""
        return ()

    @abc.abstractmethod
    def shape(self, piece_samples: int) -> tuple[int, ...]:
        """The shape of one piece's features when pieces have this many samples."""

    def statistics(self, features: npt.NDArray[np.float32]) -> tuple[Vector, Vector, Vector]:
        """What to sum of a speaker's clips, for models that adapt to speakers; by default each feature.

        Args:
            features: float32, shape (n_pieces, *shape(piece_samples)).

        Returns:
            Number of values, their sum, the sum of their squares: float64, three vectors of one length.
        """
        return statistics_of([features.reshape(len(features), -1)])

    def unknown(self, about: About) -> list[str]:  # noqa: ARG002 - for those that use it
        """Which properties of `about` these features would use and cannot: not given, or not in the corpus."""
        return []

    @abc.abstractmethod
    def extract(self, pieces: npt.NDArray[np.float32], about: Sequence[About]) -> npt.NDArray[np.float32]:
        """The features of pieces, of one recording or of several.

        Args:
            pieces: float32, shape (n_pieces, piece_samples), at `ser.audio.recordings.SAMPLE_RATE_HZ`.
            about: What is known of the recording that each piece is from, n_pieces entries; unknown values give
                zeros, never an error.

        Returns:
            float32, shape (n_pieces, *shape(piece_samples)).
        """


EXTRACTORS: Registry[type[FeatureExtractor[Any]]] = Registry(
    "feature extraction method", "ser.features.extractors", "ser.extractors"
)
