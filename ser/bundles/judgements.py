"""What a network says of rows of features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Judgements:
    """Of each row, in their order."""

    probabilities: Array
    """float32, shape (n, n_classes); each row sums to 1."""
    familiarity: Array | None
    """float32, shape (n,), 0 to 1: how much a row resembles what the model has learnt; None if it does not tell."""

    @classmethod
    def of(cls, answer: Array, n_classes: int) -> Self:
        """From what the network gave.

        Args:
            answer: float32, shape (n, n_classes) or (n, n_classes + 1): the last column is familiarity then.
            n_classes: How many classes there are.
        """
        return cls(answer[:, :n_classes], answer[:, n_classes] if answer.shape[1] > n_classes else None)
