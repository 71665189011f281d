"""Features that were extracted of clips before, found again by the clips' content.

A corpus that comes again, alone, among others or with other labels, is not heard again by what is slow: extractors that
hear whole clips, as encoders do. Their features of a clip follow from the clip and from themselves, and from nothing
else in the corpus. Nothing is kept for it: what is found lies in the feature folders that are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ser.corpora.folder import Clip
from ser.features.feature_set import FeatureSet


@dataclass(frozen=True)
class _Columns:
    """The columns of one extractor in a feature set."""

    features: FeatureSet
    columns: slice


class KnownClips:
    """Features of clips, by extractor and clip.

    Args:
        voices: How many virtual speakers say each clip; a clip of which fewer are known is not known.
    """

    def __init__(self, voices: int) -> None:
        self._voices = voices
        self._places: dict[tuple[str, str, str], tuple[_Columns, int]] = {}

    def add(self, name: str, features: FeatureSet, columns: slice, digests: Sequence[str]) -> None:
        """Adds what a feature set has of an extractor.

        Args:
            name: The extractor's registered name.
            features: Rows may be memory-mapped, and are read when they are asked for.
            columns: Where the extractor's lie.
            digests: The SHA-256 of the file of each sample.
        """
        known = 0 if features.virtual is None else features.virtual.shape[1]
        if known < self._voices:
            return
        place = _Columns(features, columns)
        for sample, digest, row in zip(features.samples, digests, features.starts.tolist(), strict=True):
            if sample.pieces == 1:
                self._places.setdefault(self._key(name, digest, sample.name), (place, row))

    def get(self, name: str, clip: Clip) -> npt.NDArray[np.float32] | None:
        """What an extractor made of a clip: of itself, then of each virtual speaker.

        Args:
            name: The extractor's registered name.
            clip: A clip of one piece.

        Returns:
            float32, shape (1 + voices, n_columns); None if that is not known.
        """
        found = self._places.get(self._key(name, clip.sha256, clip.name))
        if found is None:
            return None
        place, row = found
        rows = [place.features.rows[row : row + 1, place.columns]]
        if self._voices and place.features.virtual is not None:
            rows.append(place.features.virtual[row, : self._voices, place.columns])
        return np.concatenate(rows)

    def _key(self, name: str, digest: str, clip: str) -> tuple[str, str, str]:
        # A virtual speaker's noise follows from the clip's name.
        return name, digest, clip if self._voices else ""
