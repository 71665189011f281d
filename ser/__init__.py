"""SER: speech emotion recognition, from a corpus to an evaluated model that can be served.

    Dataset     a corpus and its features
    Trainer     features to a model
    Predictor   a model to the emotion of a recording
    run         a whole training from a `TrainRequest`

    to_data_frame   predictions as a pandas data frame

Names are imported when they are first used: `import ser` alone costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ser.version import VERSION

if TYPE_CHECKING:
    from ser.dataset import Dataset
    from ser.features import About
    from ser.predictor import Prediction, Predictor, to_data_frame
    from ser.request import TrainRequest
    from ser.trainer import Trainer, TrainResult, run

__version__ = VERSION
_HOMES = {
    "About": "ser.features",
    "Dataset": "ser.dataset",
    "Prediction": "ser.predictor",
    "Predictor": "ser.predictor",
    "TrainRequest": "ser.request",
    "TrainResult": "ser.trainer",
    "Trainer": "ser.trainer",
    "run": "ser.trainer",
    "to_data_frame": "ser.predictor",
}

__all__ = [
    "About",
    "Dataset",
    "Prediction",
    "Predictor",
    "TrainRequest",
    "TrainResult",
    "Trainer",
    "__version__",
    "run",
    "to_data_frame",
]


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ser' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
