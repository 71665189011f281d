"""What comes of fitting a model of any type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ser.bundles.judgements import Judgements
from ser.features.feature_set import FeatureSet
from ser.features.standardiser import Standardiser
from ser.speakers.statistics import SpeakerAdaptation, SpeakerStatistics, known_speakers, with_profiles

if TYPE_CHECKING:
    import keras

_BLOCK_ROWS = 256


@dataclass(frozen=True)
class Fitted:
    """What was fitted, all of it on the training part."""

    model: keras.Model
    """From rows, standardised, with the profiles of their speakers if the model adapts, to probabilities, and behind
    them to familiarity if the model tells it."""
    standardiser: Standardiser
    history: dict[str, list[float]]
    """A value an epoch of loss and accuracy; empty if there are no epochs."""
    adaptation: SpeakerAdaptation | None = None
    """Of a model that adapts to speakers."""
    int8: bool = False
    """Whether it is served with weights of eight bits."""
    tells_familiarity: bool = False
    """Whether the network's last column is familiarity."""

    def judge(
        self, rows: npt.NDArray[np.float32], speakers: Sequence[SpeakerStatistics | None] = (None,)
    ) -> Judgements:
        """What the model makes of rows.

        Args:
            rows: float32, shape (n, n_features), not standardised.
            speakers: What is known of who speaks each row, n entries or one for all.

        Returns:
            Judgements of n rows.
        """
        # Not by Keras's `predict`, whose input pipeline costs more than the arithmetic.
        parts = []
        for start in range(0, len(rows), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            told = speakers if len(speakers) == 1 else speakers[block]
            read = with_profiles(self.standardiser(rows[block]), self.adaptation, told)
            parts.append(np.asarray(self.model(read, training=False)))
        answer = np.concatenate(parts)
        return Judgements.of(answer, answer.shape[1] - self.tells_familiarity)

    def predict(
        self, rows: npt.NDArray[np.float32], speakers: Sequence[SpeakerStatistics | None] = (None,)
    ) -> npt.NDArray[np.float32]:
        """Probabilities of rows: float32, shape (n, n_classes); arguments as of `judge`."""
        return self.judge(rows, speakers).probabilities

    def predict_set(self, features: FeatureSet) -> npt.NDArray[np.float32]:
        """Probabilities of the pieces of recordings; a speaker that the model was trained on it knows.

        Returns:
            float32, shape (n_pieces, n_classes).
        """
        return self.predict(features.rows, known_speakers(self.adaptation, features.speakers))
