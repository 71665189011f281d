"""Model types: what a network looks like, and what can be set about it.

Each module with a class that registers is one model type; adding such a module adds a model type. Importing
this package imports no TensorFlow: configs are validated where none is installed.
"""

from ser.models.base import MODEL_TYPES, ModelType, NetworkType
from ser.networks.fitted import Fitted
from ser.networks.training_loop import TrainingParameters

__all__ = ["MODEL_TYPES", "Fitted", "ModelType", "NetworkType", "TrainingParameters"]
