"""Training a network on arrays that fit in memory, several times as fast as `keras.Model.fit`.

`fit` goes back to Python, and through its input pipeline, at every batch. For a small network that costs more
than the arithmetic. Here an epoch is one call of one graph: the rows stay in a tensor, the graph gathers each
batch by a shuffled index, and the optimiser is one kernel a weight. `benchmarks/training_speed.py` compares the
two. Compiling the graph by XLA as well (`jit_compile`) made it over ten times slower on the processor: its loop
copies the rows at every step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ser.errors import TrainingError
from ser.models.base import TrainingParameters
from ser.models.tensorflow_runtime import import_tensorflow
from ser.progress import Progress, Reporter

if TYPE_CHECKING:
    import keras

FIGURES = ("loss", "accuracy", "val_loss", "val_accuracy")
"""What the history has of every epoch."""
Rows = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def fit(
    build: Callable[[], keras.Model],
    train_rows: Rows,
    train_labels: Labels,
    validation_rows: Rows,
    validation_labels: Labels,
    *,
    config: TrainingParameters,
    seed: int,
    report: Reporter,
) -> tuple[keras.Model, dict[str, list[float]]]:
    """Builds and trains a network; its last epoch counts, the validation rows are only looked at.

    The same seed, data and machine give the same weights, bit for bit.

    Args:
        build: Makes the untrained network; called once the seed is set.
        train_rows: float32, shape (n, n_features), standardised.
        train_labels: int64, shape (n,), indices of classes.
        validation_rows: float32, shape (m, n_features), m > 0.
        validation_labels: int64, shape (m,).
        config: Learning rate, epochs, batch size.
        seed: Of initial weights, shuffling and dropout.
        report: Told of every epoch.

    Returns:
        The trained network, and its history: a value an epoch of each of `FIGURES`.

    Raises:
        TrainingError: If a weight is no longer a finite number.
    """
    import_tensorflow()
    import keras

    keras.utils.set_random_seed(seed)
    model = build()
    epoch = _compile_epoch(model, train_rows, train_labels, validation_rows, validation_labels, config)
    shuffle = np.random.default_rng(seed)
    history: dict[str, list[float]] = {name: [] for name in FIGURES}
    for number in range(1, config.epochs + 1):
        figures, finite = epoch(shuffle.permutation(len(train_rows)))
        if not finite:
            raise TrainingError(
                f"the training diverged: expected finite weights, epoch {number} left some that are not; "
                f"try a model_config.lr below {config.lr:g}"
            )
        for name, value in figures.items():
            history[name].append(value)
        report(Progress("train", number, config.epochs, "epochs", figures))
    return model, history


def _compile_epoch(
    model: keras.Model,
    train_rows: Rows,
    train_labels: Labels,
    validation_rows: Rows,
    validation_labels: Labels,
    config: TrainingParameters,
) -> Callable[[npt.NDArray[np.int64]], tuple[Mapping[str, float], bool]]:
    """One epoch as a function: the order of the rows in; out its figures, and whether all weights are finite."""
    tf = import_tensorflow()
    import keras

    rows, labels = tf.constant(train_rows), tf.constant(train_labels)
    held_out, truth = tf.constant(validation_rows), tf.constant(validation_labels)
    update = _adam(model, config.lr)
    cross_entropy = keras.losses.SparseCategoricalCrossentropy()
    batch, count = config.batch_size, len(train_rows)
    full = count // batch

    def judge(probabilities: Any, expected: Any) -> Any:
        """Summed cross-entropy and number of hits, float32, shape (2,)."""
        size = tf.cast(tf.shape(expected)[0], tf.float32)
        hits = tf.cast(tf.argmax(probabilities, axis=1) == expected, tf.float32)
        return tf.stack([cross_entropy(expected, probabilities) * size, tf.reduce_sum(hits)])

    def step(index: Any) -> Any:
        expected = tf.gather(labels, index)
        with tf.GradientTape() as tape:
            probabilities = model(tf.gather(rows, index), training=True)
            loss = cross_entropy(expected, probabilities)
        update(tape.gradient(loss, model.trainable_variables))
        return judge(probabilities, expected)

    @tf.function(input_signature=[tf.TensorSpec((count,), tf.int64)])  # type: ignore[untyped-decorator]
    def run(order: Any) -> Any:
        total = tf.zeros(2)
        batches = tf.reshape(order[: full * batch], (full, batch))
        for number in tf.range(full):
            total += step(batches[number])
        if count % batch:
            total += step(order[full * batch :])
        seen = judge(model(held_out, training=False), truth) / len(validation_rows)
        # The loss does not tell: Keras clips probabilities, and what is not a number becomes a small one.
        finite = [tf.reduce_all(tf.math.is_finite(weight)) for weight in model.trainable_variables]
        return tf.concat([total / count, seen], axis=0), tf.reduce_all(finite)

    def epoch(order: npt.NDArray[np.int64]) -> tuple[Mapping[str, float], bool]:
        figures, finite = run(tf.constant(order))
        return dict(zip(FIGURES, map(float, figures.numpy()), strict=True)), bool(finite)

    return epoch


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
