"""A linear expert over functionals alone: small, fast to train, and the measure of what frames add."""

from __future__ import annotations

from ser.models.base import MODEL_TYPES, whole_clips
from ser.models.single_expert import SingleExpert, SingleExpertConfig


class FunctionalsClassifierConfig(SingleExpertConfig):
    """By default what docs/accuracy.md has the figures of."""


@MODEL_TYPES.register()
class FunctionalsClassifier(SingleExpert[FunctionalsClassifierConfig]):
    """Ridge classification of functionals, which adapts to speakers."""

    Config = FunctionalsClassifierConfig
    reads = ("Functionals",)
    front_end = whole_clips(reads)
