"""Training a network, several times as fast as `keras.Model.fit`.

`fit` goes back to Python, and through its input pipeline, at every batch. For a small network that costs more
than the arithmetic. Here an epoch is one call of one graph: the rows stay in a tensor, the graph gathers each
batch by a shuffled index, and the optimiser is one kernel a weight. Rows that are too many for that are read block by
block, in the same order. `benchmarks/training_speed.py` compares the
two. Compiling the graph by XLA as well (`jit_compile`) made it over ten times slower on the processor: its loop
copies the rows at every step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import starmap
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ser.config import Config, Real, Whole
from ser.errors import TrainingError
from ser.features.standardiser import RowSource
from ser.networks.tensorflow_runtime import import_tensorflow
from ser.progress import Progress, Reporter

if TYPE_CHECKING:
    import keras

FIGURES = ("loss", "accuracy")
"""What the history has of every epoch."""
Watch = Callable[["keras.Model"], None]
"""Is shown the network after every epoch, and says nothing."""
Rows = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
BLOCK_BYTES = 64 << 20
"""Rows that are in memory at once, where there are more; for a moment twice, in NumPy's memory and in TensorFlow's."""


class TrainingParameters(Config):
    """What every network that is trained lets one set; Adam minimises the cross-entropy."""

    lr: Annotated[Real, Field(gt=0, le=10)] = 0.001
    """Learning rate."""
    epochs: Annotated[Whole, Field(ge=1, le=100_000)] = 20
    """Passes over the training pieces."""
    batch_size: Annotated[Whole, Field(ge=1, le=1_000_000)] = 32
    """Pieces a step."""


def fit(
    build: Callable[[], keras.Model],
    train_rows: RowSource,
    train_labels: Labels,
    *,
    config: TrainingParameters,
    seed: int,
    report: Reporter,
    watch: Watch | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> tuple[keras.Model, dict[str, list[float]]]:
    """Builds and trains a network; its last epoch counts.

    The same seed, data and machine give the same weights, bit for bit, watched or not.

    Args:
        build: Makes the untrained network; called once the seed is set.
        train_rows: float32, shape (n, n_features), standardised.
        train_labels: int64, shape (n,), indices of classes.
        config: Learning rate, epochs, batch size.
        seed: Of initial weights, shuffling and dropout.
        report: Told of every epoch.
        watch: Called with the network after every epoch.
        block_bytes: Rows of so many bytes are in memory at once; what is learnt does not depend on it.

    Returns:
        The trained network, and its history: a value an epoch of each of `FIGURES`.

    Raises:
        TrainingError: If a weight is no longer a finite number.
    """
    import_tensorflow()
    import keras

    keras.utils.set_random_seed(seed)
    model = build()
    epoch = _compile_epoch(model, train_rows, train_labels, config, block_bytes)
    shuffle = np.random.default_rng(seed)
    history: dict[str, list[float]] = defaultdict(list)
    for number in range(1, config.epochs + 1):
        figures, finite = epoch(shuffle.permutation(len(train_rows)))
        if not finite:
            raise TrainingError(
                f"the training diverged: expected finite weights, epoch {number} left some that are not; "
                f"try a model_config.lr below {config.lr:g}"
            )
        if watch:
            watch(model)
        for name, value in figures.items():
            history[name].append(value)
        report(Progress("train", number, config.epochs, "epochs", figures))
    return model, dict(history)


def loss_and_hits(probabilities: Any, expected: Any) -> Any:
    """Summed cross-entropy and number of hits, float32, shape (2,)."""
    import keras
    import tensorflow as tf  # not by import_tensorflow: this is traced into graphs

    size = tf.cast(tf.shape(expected)[0], tf.float32)
    hits = tf.cast(tf.argmax(probabilities, axis=1) == expected, tf.float32)
    loss = keras.losses.SparseCategoricalCrossentropy()(expected, probabilities)
    return tf.stack([loss * size, tf.reduce_sum(hits)])


def _compile_epoch(
    model: keras.Model,
    train_rows: RowSource,
    train_labels: Labels,
    config: TrainingParameters,
    block_bytes: int,
) -> Callable[[npt.NDArray[np.int64]], tuple[Mapping[str, float], bool]]:
    """One epoch as a function: the order of the rows in; out its figures, and whether all weights are finite."""
    tf = import_tensorflow()
    import keras

    update = _adam(model, config.lr)
    cross_entropy = keras.losses.SparseCategoricalCrossentropy()
    batch, count, width = config.batch_size, len(train_rows), train_rows.shape[1]
    block = max(1, block_bytes // (4 * width * batch)) * batch
    row_block, label_block = tf.TensorSpec((None, width), tf.float32), tf.TensorSpec((None,), tf.int64)

    def step(rows: Any, expected: Any) -> Any:
        with tf.GradientTape() as tape:
            probabilities = model(rows, training=True)
            loss = cross_entropy(expected, probabilities)
        update(tape.gradient(loss, model.trainable_variables))
        return loss_and_hits(probabilities, expected)

    @tf.function(input_signature=[row_block, label_block, label_block])  # type: ignore[untyped-decorator]
    def learn(rows: Any, labels: Any, order: Any) -> Any:
        total = tf.zeros(2)
        full = tf.shape(order)[0] // batch
        batches = tf.reshape(order[: full * batch], (full, batch))
        for number in tf.range(full):
            total += step(tf.gather(rows, batches[number]), tf.gather(labels, batches[number]))
        if tf.shape(order)[0] % batch != 0:
            rest = order[full * batch :]
            total += step(tf.gather(rows, rest), tf.gather(labels, rest))
        return total

    @tf.function  # type: ignore[untyped-decorator]
    def is_finite() -> Any:
        # The loss does not tell: Keras clips probabilities, and what is not a number becomes a small one.
        return tf.reduce_all([tf.reduce_all(tf.math.is_finite(weight)) for weight in model.trainable_variables])

    train = Blocks(train_rows, train_labels, block)

    def epoch(order: npt.NDArray[np.int64]) -> tuple[Mapping[str, float], bool]:
        # `starmap` lets go of a block before it asks for the next one; a loop's variable would hold it.
        learnt = sum(figures.numpy() for figures in starmap(learn, train(order))) / count
        return dict(zip(FIGURES, map(float, learnt), strict=True)), bool(is_finite())

    return epoch


class Blocks:
    """Rows and labels as tensors, block after block; a single block is made once, and kept."""

    def __init__(self, rows: RowSource, labels: Labels, size: int) -> None:
        """Takes rows.

        Args:
            rows: float32, shape (n, n_features).
            labels: int64, shape (n,), indices of classes.
            size: Rows of a block.
        """
        self._rows = rows
        self._labels = labels
        self._size = size
        self._whole = self._read(np.arange(len(rows))) if len(rows) <= size else None

    def __call__(self, order: npt.NDArray[np.int64]) -> Iterator[tuple[Any, Any, Any]]:
        """Rows, labels, and the order in which the rows of the block come."""
        tf = import_tensorflow()
        if self._whole is not None:
            yield *self._whole, tf.constant(order)
            return
        for start in range(0, len(order), self._size):
            part = order[start : start + self._size]
            yield *self._read(part), tf.range(len(part), dtype=tf.int64)

    def _read(self, numbers: npt.NDArray[np.int64]) -> tuple[Any, Any]:
        tf = import_tensorflow()
        return tf.constant(self._rows[numbers]), tf.constant(self._labels[numbers])


def _adam(model: keras.Model, lr: float) -> Callable[[Sequence[Any]], None]:
    """Adam (Kingma and Ba, 2015) with the settings of `keras.optimizers.Adam`; takes the gradients of a batch.

    Keras writes it as a dozen operations a weight; TensorFlow has it as one, which takes a third off an epoch.
    """
    tf = import_tensorflow()
    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-7
    weights = [variable.value for variable in model.trainable_variables]
    moments = [(tf.Variable(tf.zeros_like(weight)), tf.Variable(tf.zeros_like(weight))) for weight in weights]
    steps = tf.Variable(0.0)

    def update(gradients: Sequence[Any]) -> None:
        count = steps.assign_add(1.0)
        for weight, (first, second), gradient in zip(weights, moments, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=first.handle,
                v=second.handle,
                beta1_power=tf.pow(beta_1, count),
                beta2_power=tf.pow(beta_2, count),
                lr=lr,
                beta1=beta_1,
                beta2=beta_2,
                epsilon=epsilon,
                grad=gradient,
            )

    return update
