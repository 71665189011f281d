"""What the model types have in common that are one linear expert over one vector a clip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import Field

from ser.config import Config, Flag, Real
from ser.features.training_set import TrainingSet
from ser.models.base import ModelType
from ser.networks.fitted import Fitted
from ser.progress import Reporter

if TYPE_CHECKING:
    from ser.networks.training_loop import Watch


class SingleExpertConfig(Config):
    """As `EnsembleClassifierConfig`, of one expert."""

    penalty: Annotated[Real, Field(gt=0, le=1_000)] = 1.0
    """Of the squared weights."""
    weights: Literal["float32", "int8"] = "float32"
    """Numbers that the served network's weights are: int8 takes less than half the size."""
    adapts: Flag = True
    """Whether the model adapts to speakers of whom clips are known."""


SingleExpertConfigT = TypeVar("SingleExpertConfigT", bound=SingleExpertConfig)


class SingleExpert(ModelType[SingleExpertConfigT]):
    """Ridge classification of what one extractor gives, which adapts to speakers; a subclass says which extractor."""

    def fit(
        self,
        training: TrainingSet,
        config: SingleExpertConfigT,
        *,
        seed: int,
        report: Reporter,
        watch: Watch | None = None,  # noqa: ARG002 - there are no epochs
    ) -> Fitted:
        """See `ModelType.fit`."""
        from ser.experts.ensemble import Recipe, fit_ensemble

        recipe = Recipe(
            reads=self.reads,
            adapts=config.adapts,
            penalty=config.penalty,
            encoder_penalty=config.penalty,
            int8=config.weights == "int8",
        )
        return fit_ensemble(training, recipe, seed=seed, report=report)
