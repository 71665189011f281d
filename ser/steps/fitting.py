"""The code that fits: it gets the training part, and nothing of what will be judged.

A recording that is tested must have had no say in anything: not in the standardiser, the weights, or a choice. So
`fit_on` takes a `TrainingSet`, which has no way to another recording. A test tries to cheat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ser.features.training_set import TrainingSet
from ser.models import MODEL_TYPES
from ser.networks.fitted import Fitted
from ser.progress import Reporter
from ser.request import TrainingConfig

if TYPE_CHECKING:
    from ser.networks.training_loop import Watch


def fit_on(
    training: TrainingSet,
    config: TrainingConfig,
    report: Reporter,
    watch: Watch | None = None,
) -> Fitted:
    """Fits a model; nothing is chosen by what it will be judged on.

    Args:
        training: What is learnt from; its classes are the model's.
        config: Model type, its config, and the seed.
        report: Told of the progress.
        watch: Is shown the network after each epoch, and says nothing.

    Raises:
        ConfigError: If the features are not those that the model type reads.
        TrainingError: If the training diverges.
    """
    model_type = MODEL_TYPES.get(config.model_type)()
    return model_type.fit(training, config.hyperparameters, seed=config.random_state, report=report, watch=watch)
