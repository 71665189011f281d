"""What the experts read of an utterance, as a Keras network: vectors as they are, Fisher vectors of three views.

Everything comes twice in a model that adapts: scaled by what is known of all speakers, and by the speaker's profile
(`ser.speakers.statistics`), which lies behind the features in the input.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ser.acoustics.views import NUM_DERIVED, VIEWS, derive
from ser.errors import ConfigError, FieldViolation
from ser.experts.gaussian_mixture import GaussianMixture, Whitening
from ser.experts.profiles import Profiles
from ser.features.frontend import Block, FrontEnd
from ser.features.training_set import TrainingSet

if TYPE_CHECKING:
    import keras

Array = npt.NDArray[np.float32]

FRAMES = "SpeechFrames"
"""The extractor whose frames experts read by Fisher vectors."""
VECTORS: Mapping[str, str] = MappingProxyType({"functionals": "Functionals", "encoder": "SpeechEncoder"})
"""Experts to the extractors whose vectors they read as they are."""
PRETRAINED = frozenset({"encoder"})
"""Experts that read what a pretrained network hears; the others know nothing but the corpus that they learn."""
_MIXTURE_FRAMES = 25_000
"""Frames that mixtures are fitted to, of all; more change little."""
_SAMPLED_ROWS = 1_000


@dataclass(frozen=True)
class Columns:
    """Where in the input is what: features first, then mean, 1 / deviation and clips of the profile."""

    vectors: Mapping[str, Block]
    """Expert's name to the features that are one vector a clip, of those that are read."""
    frames: Block | None
    """The frames, if they are read."""
    statistics: Mapping[str, slice]
    """Of each extractor, within mean and within 1 / deviation."""
    num_features: int
    num_statistics: int

    @classmethod
    def of(cls, frontend: FrontEnd, wanted: tuple[str, ...]) -> Columns:
        """Finds the blocks.

        Raises:
            ConfigError: If the features lack an extractor that is wanted.
        """
        blocks = {block.name: block for block in frontend.blocks}
        check_features(wanted, blocks)
        statistics, start = {}, 0
        for name, width in frontend.statistics_widths().items():
            statistics[name] = slice(start, start + width)
            start += width
        vectors = {expert: blocks[name] for expert, name in VECTORS.items() if name in wanted}
        frames = blocks[FRAMES] if FRAMES in wanted else None
        return cls(vectors, frames, statistics, frontend.num_features, start)

    def profile(self, name: str, which: int) -> slice:
        """Columns of an extractor's mean (0) or 1 / deviation (1)."""
        part = self.in_profile(name, which)
        return slice(self.num_features + part.start, self.num_features + part.stop)

    def in_profile(self, name: str, which: int) -> slice:
        """As `profile`, counted from the profile's own first column."""
        part, start = self.statistics[name], which * self.num_statistics
        return slice(start + part.start, start + part.stop)

    @property
    def clips(self) -> slice:
        """The column with the number of clips that the profile is of."""
        start = self.num_features + 2 * self.num_statistics
        return slice(start, start + 1)


def check_features(wanted: Sequence[str], given: Collection[str]) -> None:
    """Checks that there are the features that a model type reads.

    Args:
        wanted: The extractors that it reads.
        given: Those that there are.

    Raises:
        ConfigError: If one is missing.
    """
    if missing := [name for name in wanted if name not in given]:
        raise ConfigError(
            [
                FieldViolation(
                    "dataset_feature_extract_methods",
                    f"this model type reads {' and '.join(wanted)}; expected {' and '.join(missing)} as well, "
                    f"got {', '.join(given)}",
                )
            ]
        )


def describe(
    training: TrainingSet,
    columns: Columns,
    profiles: Profiles | None,
    inputs: keras.KerasTensor,
    *,
    n_components: int,
    n_dimensions: int,
    random: np.random.Generator,
) -> dict[str, keras.KerasTensor]:
    """Builds the description on a network's input; whitening and mixtures are fitted on the way, without labels.

    Args:
        training: What they are fitted on.
        columns: Where in the input is what.
        profiles: Of who speaks each training row, to scale by them rather than by what all speakers have in common.
        inputs: float32 (batch, n_features + n_profile), or (batch, n_features) where nothing is adapted.
        n_components: Gaussians of each mixture.
        n_dimensions: Dimensions that frames are whitened to.
        random: Picks frames.

    Returns:
        By expert's name, float32 (batch, n): functionals, encoder, cepstral, spectral, prosodic; those that are read.
    """
    from keras import layers, ops

    from ser.experts.layers import FisherVector, Views, Whiten

    found: dict[str, Any] = {}
    for name, block in columns.vectors.items():
        values = inputs[:, block.start : block.stop]
        if profiles is not None:
            mean, inverse = (inputs[:, columns.profile(block.name, which)] for which in (0, 1))
            values = (values - mean) * inverse
        found[name] = values
    if columns.frames is not None:
        block = columns.frames
        frames = layers.Reshape(block.shape)(inputs[:, block.start : block.stop])
        speech = frames[:, :, -1:]
        channels = Views()(frames)
        if profiles is not None:
            mean, inverse = (ops.expand_dims(inputs[:, columns.profile(FRAMES, which)], 1) for which in (0, 1))
            channels = (channels - mean) * inverse
        sampled = _sample(training, columns, profiles, random)
        for name, view in VIEWS.items():
            whitening = Whitening.fit(sampled[:, view], n_dimensions)
            mixture = GaussianMixture.fit(whitening(sampled[:, view]), n_components, random)
            found[name] = FisherVector.by(mixture)(Whiten.by(whitening)(channels[:, :, view]), speech)
    return found


def _sample(training: TrainingSet, columns: Columns, profiles: Profiles | None, random: np.random.Generator) -> Array:
    """Some frames of speech of the recordings themselves: float32, shape (n, NUM_DERIVED)."""
    block = columns.frames
    assert block is not None  # noqa: S101 - the caller's condition, told to mypy
    count = len(training.rows) // training.rows.copies
    numbers = np.sort(random.permutation(count)[:_SAMPLED_ROWS])
    each = max(1, _MIXTURE_FRAMES // len(numbers))
    sampled = np.empty((0, NUM_DERIVED), dtype=np.float32)
    parts = [sampled]
    for number in numbers:
        row = training.rows[np.array([number])][:, block.start : block.stop].reshape(1, *block.shape)
        channels = derive(row)[0][row[0, :, -1] > 0]
        if profiles is not None:
            own = profiles[np.array([number])][0]
            mean, inverse = (own[columns.in_profile(FRAMES, which)] for which in (0, 1))
            channels = (channels - mean) * inverse
        parts.append(channels[random.permutation(len(channels))[:each]])
    return np.concatenate(parts).astype(np.float32)
