"""Probabilities without the distance are those that the network lowered."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.strangers import untempered
from ser.bundles.judgements import Judgements
from ser.experts.familiarity import familiarity, heat


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers: npt.NDArray[np.float64] = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


def test_what_the_distance_took_is_given_back() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 4)) * 3
    ratio = np.array([0.3, 0.9, 1.0, 1.5, 3.0])
    answer = softmax(logits / heat(ratio)[:, np.newaxis]).astype(np.float32)
    judged = Judgements(answer, np.asarray(familiarity(ratio), dtype=np.float32))
    np.testing.assert_allclose(untempered(judged), softmax(logits), atol=1e-3)
    assert not np.allclose(answer[3:], softmax(logits)[3:], atol=0.05)  # where it is far, it took something


def test_who_tells_no_familiarity_is_refused() -> None:
    with pytest.raises(SystemExit, match="--model-type"):
        untempered(Judgements(np.full((1, 2), 0.5, dtype=np.float32), None))
