"""What a model type is, and the registry of them."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from ser.config import Config
from ser.features.standardiser import Standardiser
from ser.features.training_set import StandardisedRows, TrainingSet
from ser.networks.fitted import Fitted
from ser.networks.training_loop import TrainingParameters, Watch, fit
from ser.progress import Reporter
from ser.registry import Registry

if TYPE_CHECKING:
    import keras

ParametersT = TypeVar("ParametersT", bound=Config)


def whole_clips(reads: Sequence[str], virtual_speakers: int = 4) -> Mapping[str, Any]:
    """The `front_end` of a model type that hears clips whole, and learns from virtual speakers as well.

    Args:
        reads: The extractors whose features it reads, each with its defaults.
        virtual_speakers: How many; from the fifth on, some are far away and of some a part is heard.
    """
    return MappingProxyType(
        {
            "dataset_load_split_at": "max",
            "dataset_feature_extract_methods": {name: {} for name in reads},
            "dataset_virtual_speakers": virtual_speakers,
        }
    )


class ModelType(abc.ABC, Generic[ParametersT]):
    """A kind of classifier over feature vectors, which ends up as one Keras network."""

    Config: ClassVar[type[Config]]
    """What can be set about it; its defaults are the best that is known."""
    front_end: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Fields of a train request that have another default with this model type, as the features that it reads."""

    reads: ClassVar[tuple[str, ...]] = ()
    """The extractors whose features it must have; none, if it takes whatever there is."""

    @abc.abstractmethod
    def fit(
        self,
        training: TrainingSet,
        config: ParametersT,
        *,
        seed: int,
        report: Reporter,
        watch: Watch | None = None,
    ) -> Fitted:
        """Fits everything that is fitted.

        Args:
            training: All that there is to learn from.
            config: The validated config.
            seed: Of everything random; the same seed, data and machine give the same weights, bit for bit.
            report: Told of the progress.
            watch: Is shown the network after each epoch, and says nothing: what it is judged on is read later. Whoever
                has no epochs takes no notice.

        Raises:
            ConfigError: If the features are not those that the model type reads.
            TrainingError: If the training diverges.
        """


NetworkParametersT = TypeVar("NetworkParametersT", bound=TrainingParameters)


class NetworkType(ModelType[NetworkParametersT]):
    """A kind of network over flat feature vectors, trained by gradient descent."""

    @abc.abstractmethod
    def build(self, num_features: int, num_classes: int, config: NetworkParametersT) -> keras.Model:
        """An untrained network.

        Args:
            num_features: Length of a piece's standardised feature vector.
            num_classes: Number of labels.
            config: The validated config.

        Returns:
            A Keras model from float32 (batch, num_features) to probabilities, float32 (batch, num_classes).
        """

    def fit(
        self,
        training: TrainingSet,
        config: NetworkParametersT,
        *,
        seed: int,
        report: Reporter,
        watch: Watch | None = None,
    ) -> Fitted:
        """See `ModelType.fit`."""
        standardiser = Standardiser.fit(training.rows)
        num_features, num_classes = training.rows.shape[1], len(training.classes)
        model, history = fit(
            lambda: self.build(num_features, num_classes, config),
            StandardisedRows(training.rows, standardiser),
            training.labels,
            config=config,
            seed=seed,
            report=report,
            watch=watch,
        )
        return Fitted(model, standardiser, history)


MODEL_TYPES: Registry[type[ModelType[Any]]] = Registry("model type", "ser.models", "ser.model_types")
