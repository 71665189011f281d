"""A linear expert over what a pretrained encoder hears, made for recordings of strangers above all."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ser.config import Real
from ser.models.base import MODEL_TYPES, whole_clips
from ser.models.single_expert import SingleExpert, SingleExpertConfig


class EncoderClassifierConfig(SingleExpertConfig):
    """By default the recipe of docs/encoders.md."""

    penalty: Annotated[Real, Field(gt=0, le=1_000)] = 3.0
    """Of the squared weights."""


@MODEL_TYPES.register()
class EncoderClassifier(SingleExpert[EncoderClassifierConfig]):
    """Ridge classification of what a pretrained encoder hears, which adapts to speakers."""

    Config = EncoderClassifierConfig
    reads = ("SpeechEncoder",)
    front_end = whole_clips(reads, virtual_speakers=10)
