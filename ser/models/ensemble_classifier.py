"""All that is known of a recording, judged together: functionals, frames, and what a pretrained encoder hears."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ser.config import Config, Flag, Real, Whole
from ser.features.training_set import TrainingSet
from ser.models.base import MODEL_TYPES, ModelType, whole_clips
from ser.networks.fitted import Fitted
from ser.progress import Reporter

if TYPE_CHECKING:
    from ser.networks.training_loop import Watch


class EnsembleClassifierConfig(Config):
    """By default what docs/accuracy.md has the figures of."""

    penalty: Annotated[Real, Field(gt=0, le=1_000)] = 1.0
    """Of the squared weights of each expert; of the encoder's, three times as much."""
    components: Annotated[Whole, Field(ge=2, le=256)] = 32
    """Gaussians that the Fisher vectors of a view are measured against."""
    dimensions: Annotated[Whole, Field(ge=2, le=44)] = 40
    """Dimensions that the frames of a view are whitened to."""
    weights: Literal["float32", "int8"] = "float32"
    """Numbers that the served network's weights are: int8 takes less than half the size."""
    adapts: Flag = True
    """Whether the model adapts to speakers of whom clips are known; without, it takes half the time and the size."""


ENCODER = "SpeechEncoder"
"""The extractor that wants weights that others made."""
ENCODER_PENALTY = 3.0
"""The penalty of the encoder's expert by that of the others: each as it was found best alone."""


@MODEL_TYPES.register()
class EnsembleClassifier(ModelType[EnsembleClassifierConfig]):
    """Five experts that adapt to speakers; solved, without epochs, in seconds.

    The fifth judges what a pretrained encoder hears. It is there by default; features without `SpeechEncoder` make an
    ensemble of the four others, which need no weights that others made.
    """

    Config = EnsembleClassifierConfig
    reads = ("Functionals", "SpeechFrames")
    front_end = whole_clips((*reads, ENCODER))

    def fit(
        self,
        training: TrainingSet,
        config: EnsembleClassifierConfig,
        *,
        seed: int,
        report: Reporter,
        watch: Watch | None = None,  # noqa: ARG002 - there are no epochs
    ) -> Fitted:
        """See `ModelType.fit`."""
        from ser.experts.ensemble import Recipe, fit_ensemble

        heard = any(block.name == ENCODER for block in training.frontend.blocks)
        recipe = Recipe(
            reads=(*self.reads, ENCODER) if heard else self.reads,
            adapts=config.adapts,
            penalty=config.penalty,
            encoder_penalty=ENCODER_PENALTY * config.penalty,
            int8=config.weights == "int8",
            n_components=config.components,
            n_dimensions=config.dimensions,
        )
        return fit_ensemble(training, recipe, seed=seed, report=report)
