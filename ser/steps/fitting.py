"""The code that fits: it gets the training part, and nothing of what will be judged.

A recording that is tested must have had no say in anything: not in the standardiser, the weights, or a choice. So
`fit_on` takes a `TrainingSet`, which has no way to another recording. A test tries to cheat.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ser.frontend import Standardiser
from ser.models import MODEL_TYPES
from ser.progress import Reporter
from ser.request import TrainingConfig
from ser.training_set import StandardisedRows, TrainingSet

if TYPE_CHECKING:
    import keras

    from ser.models.training_loop import Watch

_BLOCK_ROWS = 4_096


@dataclass(frozen=True)
class Fitted:
    """What was fitted, all of it on the training part."""

    model: keras.Model
    standardiser: Standardiser
    history: dict[str, list[float]]
    """A value an epoch of loss and accuracy, and of each figure of the watch."""

    def predict(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Probabilities, float32, shape (n, n_classes), of rows, float32, shape (n, n_features), not standardised."""
        # Not by Keras's `predict`, whose input pipeline costs more than the arithmetic.
        blocks = np.array_split(rows, max(1, len(rows) // _BLOCK_ROWS))
        return np.concatenate([np.asarray(self.model(self.standardiser(block), training=False)) for block in blocks])


def fit_on(
    training: TrainingSet,
    config: TrainingConfig,
    report: Reporter,
    watch: Callable[[Standardiser], Watch] | None = None,
) -> Fitted:
    """Fits the standardiser and trains a network; the last epoch counts.

    Args:
        training: What is learnt from; its classes are the network's.
        config: Model type, its config, and the seed.
        report: Told of each epoch.
        watch: Makes the watch of the training, once the standardiser is fitted; its figures are recorded and used for
            nothing.

    Raises:
        TrainingError: If the training diverges.
    """
    # Imported here: whoever only reads bundles needs no TensorFlow.
    from ser.models.training_loop import fit

    standardiser = Standardiser.fit(training.rows)
    model_type = MODEL_TYPES.get(config.model_type)()
    num_features, num_classes = training.rows.shape[1], len(training.classes)
    model, history = fit(
        lambda: model_type.build(num_features, num_classes, config.hyperparameters),
        StandardisedRows(training.rows, standardiser),
        training.labels,
        config=config.hyperparameters,
        seed=config.random_state,
        report=report,
        watch=watch(standardiser) if watch else None,
    )
    return Fitted(model, standardiser, history)
