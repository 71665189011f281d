"""A linear expert over functionals alone: small, fast to train, and the measure of what frames add."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ser.config import Config, Flag, Real
from ser.features.training_set import TrainingSet
from ser.models.base import MODEL_TYPES, ModelType
from ser.networks.fitted import Fitted
from ser.progress import Reporter

if TYPE_CHECKING:
    from ser.networks.training_loop import Watch


class FunctionalsClassifierConfig(Config):
    """As `EnsembleClassifierConfig`, of one expert."""

    penalty: Annotated[Real, Field(gt=0, le=1_000)] = 1.0
    """Of the squared weights."""
    weights: Literal["float32", "int8"] = "float32"
    """Numbers that the served network's weights are: int8 takes less than half the size."""
    adapts: Flag = True
    """Whether the model adapts to speakers of whom clips are known."""


@MODEL_TYPES.register()
class FunctionalsClassifier(ModelType[FunctionalsClassifierConfig]):
    """Ridge classification of functionals, which adapts to speakers."""

    Config = FunctionalsClassifierConfig
    front_end = MappingProxyType(
        {
            "dataset_load_split_at": "max",
            "dataset_feature_extract_methods": {"Functionals": {}},
            "dataset_virtual_speakers": 4,
        }
    )

    def fit(
        self,
        training: TrainingSet,
        config: FunctionalsClassifierConfig,
        *,
        seed: int,
        report: Reporter,
        watch: Watch | None = None,  # noqa: ARG002 - there are no epochs
    ) -> Fitted:
        """See `ModelType.fit`."""
        from ser.experts.ensemble import Recipe, fit_ensemble

        recipe = Recipe(
            reads=("Functionals",), adapts=config.adapts, penalty=config.penalty, int8=config.weights == "int8"
        )
        return fit_ensemble(training, recipe, seed=seed, report=report)
