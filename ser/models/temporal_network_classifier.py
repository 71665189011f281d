"""A network over time: dilated convolutions with residual connections, pooled over the frames of speech."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from ser.config import Real, Whole
from ser.features.frontend import Block
from ser.features.standardiser import Standardiser
from ser.features.training_set import TrainingSet
from ser.models.base import MODEL_TYPES, ModelType, whole_clips
from ser.networks.fitted import Fitted
from ser.networks.training_loop import TrainingParameters
from ser.progress import Reporter

if TYPE_CHECKING:
    import keras

    from ser.experts.scaling import Scaling
    from ser.networks.training_loop import Watch

FRAMES = "SpeechFrames"
DILATIONS = (1, 2, 4, 8)
"""Frames of 40 ms that a block's neighbours are apart: the last one sees 1.2 s."""
_BLOCK_ROWS = 256


class TemporalNetworkClassifierConfig(TrainingParameters):
    """By default 20 epochs in batches of 32 at a learning rate of 0.001."""

    units: Annotated[Whole, Field(ge=4, le=512)] = 32
    """Channels of each block."""
    dropout: Annotated[Real, Field(ge=0, lt=1)] = 0.2
    """Share of what is pooled that a step leaves out (Srivastava et al., 2014)."""


@MODEL_TYPES.register()
class TemporalNetworkClassifier(ModelType[TemporalNetworkClassifierConfig]):
    """Residual dilated convolutions (Bai et al., 2018) over `SpeechFrames`; mean, deviation and attention pooling."""

    Config = TemporalNetworkClassifierConfig
    reads = (FRAMES,)
    front_end = whole_clips(reads)

    def fit(
        self,
        training: TrainingSet,
        config: TemporalNetworkClassifierConfig,
        *,
        seed: int,
        report: Reporter,
        watch: Watch | None = None,
    ) -> Fitted:
        """See `ModelType.fit`."""
        from ser.experts.description import Columns
        from ser.networks.training_loop import fit

        block = Columns.of(training.frontend, self.reads).frames
        if block is None:
            raise AssertionError("Columns.of gives what is wanted, or raises")
        num_features, num_classes = training.rows.shape[1], len(training.classes)
        scaling = _scaling_of_channels(training, block)
        identity = Standardiser.identity(num_features)
        model, history = fit(
            lambda: _build(num_features, num_classes, block, scaling, config),
            training.rows,
            training.labels,
            config=config,
            seed=seed,
            report=report,
            watch=watch,
        )
        return Fitted(model, identity, history)


def _scaling_of_channels(training: TrainingSet, block: Block) -> Scaling:
    """Of every derived channel, over all frames of speech of the recordings themselves."""
    from ser.experts.scaling import Scaling

    extractor = training.frontend.extractors[FRAMES]
    count = len(training.rows) // training.rows.copies
    sums: Any = 0
    for start in range(0, count, _BLOCK_ROWS):
        rows = training.rows[np.arange(start, min(start + _BLOCK_ROWS, count))]
        sums = sums + np.stack(extractor.statistics(rows[:, block.start : block.stop].reshape(-1, *block.shape)))
    number, total, squares = sums
    mean = total / number
    deviation = np.sqrt(np.maximum(squares / number - np.square(mean), 0))
    constant = deviation <= 1e-6 * np.maximum(np.abs(mean), 1)
    inverse = np.where(constant, 0, 1 / np.where(constant, 1, deviation))
    return Scaling(mean.astype(np.float32), inverse.astype(np.float32))


def _build(
    num_features: int, num_classes: int, block: Block, scaling: Scaling, config: TemporalNetworkClassifierConfig
) -> keras.Model:
    from keras import Input, Model, layers, ops

    from ser.experts.layers import Scale, Views

    row = Input((num_features,))
    frames = layers.Reshape(block.shape)(row[:, block.start : block.stop])
    speech = layers.AveragePooling1D(2, padding="same")(frames[:, :, -1:])
    channels = layers.AveragePooling1D(2, padding="same")(Scale.by(scaling)(Views()(frames)))
    flow = layers.Conv1D(config.units, 1)(channels) * speech
    for dilation in DILATIONS:
        change = layers.LayerNormalization()(flow)
        change = layers.Conv1D(config.units, 3, padding="same", dilation_rate=dilation, activation="relu")(change)
        flow = flow + layers.Conv1D(config.units, 1)(change) * speech
    share = speech / ops.maximum(ops.sum(speech, axis=1, keepdims=True), 1e-6)
    mean = ops.sum(flow * share, axis=1)
    spread = ops.sqrt(ops.sum(ops.square(flow - ops.expand_dims(mean, 1)) * share, axis=1) + 1e-6)
    # exp under a bound: attention that needs no maximum over frames, and that silence has no part in.
    attention = ops.exp(3 * ops.tanh(layers.Conv1D(1, 1)(flow))) * speech
    attended = ops.sum(flow * attention, axis=1) / ops.maximum(ops.sum(attention, axis=1), 1e-6)
    pooled = layers.Dropout(config.dropout)(layers.Concatenate()([mean, spread, attended]))
    return Model(row, layers.Dense(num_classes, activation="softmax")(pooled))
