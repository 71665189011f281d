"""What is evaluated: recordings with their ground truth and what a model made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from ser.errors import DamagedError
from ser.storage.arrays import load_arrays, save_arrays

_SLACK = 1e-3
"""How far outside [0, 1] a probability may lie: means of float32 softmaxes reach 1.0000001."""

_COLUMNS = ("names", "speakers", "genders", "labels", "classes")


@dataclass(frozen=True, eq=False)
class ScoredSamples:
    """Recordings with their ground truth and a model's probabilities; one row a recording.

    Attributes:
        names: File names, like "03a01Fa.wav".
        speakers: Who speaks.
        genders: The speakers' genders.
        labels: The ground truth, each one of `classes`; a class may be absent.
        classes: The model's classes, in the order of its outputs.
        probabilities: float32, shape (n_samples, n_classes), from 0 to 1.

    Raises:
        ValueError: If there is no sample, lengths or shape disagree, a class is listed twice, a label is no
            class, or a probability is not finite or not between 0 and 1.
    """

    names: tuple[str, ...]
    speakers: tuple[str, ...]
    genders: tuple[str, ...]
    labels: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError("expected at least one sample, got none")
        for field in ("speakers", "genders", "labels"):
            if len(getattr(self, field)) != len(self.names):
                raise ValueError(f"expected {len(self.names)} {field}, one a name, got {len(getattr(self, field))}")
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise ValueError(f"expected distinct classes, got {self.classes!r}")
        if unknown := sorted(set(self.labels) - set(self.classes)):
            raise ValueError(f"expected labels among {self.classes!r}, got {unknown!r}")
        expected = (len(self.names), len(self.classes))
        if self.probabilities.shape != expected:
            raise ValueError(f"expected probabilities of shape {expected}, got {self.probabilities.shape}")
        if not np.isfinite(self.probabilities).all():
            raise ValueError("expected finite probabilities, got NaN or infinity")
        low, high = float(self.probabilities.min()), float(self.probabilities.max())
        if low < -_SLACK or high > 1 + _SLACK:
            raise ValueError(f"expected probabilities between 0 and 1, got {low:g} to {high:g}")

    @property
    def truth(self) -> npt.NDArray[np.int64]:
        """int64, shape (n_samples,): each label's index into `classes`."""
        index = {label: number for number, label in enumerate(self.classes)}
        return np.array([index[label] for label in self.labels], dtype=np.int64)

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """int64, shape (n_samples,): index of the most probable class; of equals, the first."""
        return np.asarray(np.argmax(self.probabilities, axis=1), dtype=np.int64)

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """All samples of several, in their order; the classes must be the same."""
        if len({part.classes for part in parts}) != 1:
            raise ValueError(f"expected the same classes, got {sorted({part.classes for part in parts})}")
        return cls(
            names=tuple(name for part in parts for name in part.names),
            speakers=tuple(speaker for part in parts for speaker in part.speakers),
            genders=tuple(gender for part in parts for gender in part.genders),
            labels=tuple(label for part in parts for label in part.labels),
            classes=parts[0].classes,
            probabilities=np.concatenate([part.probabilities for part in parts]),
        )

    def save(self, path: Path) -> None:
        """Writes them into one .npz file."""
        columns = {name: np.array(getattr(self, name), dtype=np.str_) for name in _COLUMNS}
        save_arrays(path, {**columns, "probabilities": self.probabilities})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            DamagedError: If it is missing or something else.
        """
        arrays = load_arrays(path)
        try:
            return cls(
                **{name: tuple(arrays[name].tolist()) for name in _COLUMNS}, probabilities=arrays["probabilities"]
            )
        except (KeyError, ValueError) as error:
            raise DamagedError(f"{path} has no scored samples: {error}") from None
