"""Who speaks and what is said, as one-hot vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
import pydantic

from ser.config import Config, Flag
from ser.features.extractors.base import EXTRACTORS, About, FeatureExtractor
from ser.storage.arrays import Expected


class SpeakerAndGenderAndTextTypeConfig(Config):
    """Which of the three one-hots are used; at least one."""

    speaker: Flag = True
    gender: Flag = True
    text: Flag = True

    @pydantic.model_validator(mode="after")
    def _something_is_used(self) -> Self:
        if not (self.speaker or self.gender or self.text):
            raise ValueError("expected at least one of speaker, gender, text to be true")
        return self

    @property
    def used(self) -> list[str]:
        """The names of the properties in use, in their order in the vector."""
        return [name for name in ("speaker", "gender", "text") if getattr(self, name)]


@EXTRACTORS.register()
class SpeakerAndGenderAndTextType(FeatureExtractor[SpeakerAndGenderAndTextTypeConfig]):
    """One-hots over the speakers, genders and texts of the corpus, the same for each piece.

    A value that the corpus does not have, or that nobody knows, is a vector of zeros. These features help only
    where speakers or texts recur between training and use.
    """

    Config = SpeakerAndGenderAndTextTypeConfig

    @classmethod
    def create(cls, config: SpeakerAndGenderAndTextTypeConfig, corpus: Sequence[About]) -> Self:
        """See `FeatureExtractor.create`."""
        values = {name: sorted({str(getattr(about, name)) for about in corpus}) for name in config.used}
        return cls(config, {name: np.array(known, dtype=np.str_) for name, known in values.items()})

    @classmethod
    def array_schema(cls, config: SpeakerAndGenderAndTextTypeConfig) -> Mapping[str, Expected]:
        """See `FeatureExtractor.array_schema`."""
        return {name: Expected("str", (None,)) for name in config.used}

    def shape(self, piece_samples: int) -> tuple[int, ...]:  # noqa: ARG002 - one-hots do not depend on time
        """See `FeatureExtractor.shape`."""
        return (sum(len(known) for known in self.arrays.values()),)

    def unknown(self, about: About) -> list[str]:
        """See `FeatureExtractor.unknown`."""
        return [name for name, known in self.arrays.items() if (getattr(about, name) or "") not in known]

    def extract(self, pieces: npt.NDArray[np.float32], about: Sequence[About]) -> npt.NDArray[np.float32]:
        """See `FeatureExtractor.extract`."""
        blocks = []
        for name in self.config.used:
            values = np.array([getattr(one, name) or "" for one in about], dtype=np.str_)
            blocks.append(values[:, np.newaxis] == self.arrays[name])
        return np.concatenate(blocks, axis=1).astype(np.float32).reshape(len(pieces), -1)
