"""Keras layers whose weights are computed, not trained: scalings and Fisher vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from ser.acoustics.views import derive
from ser.experts.gaussian_mixture import GaussianMixture, Whitening
from ser.experts.scaling import CLIP, Scaling


class _Computed(keras.layers.Layer):  # type: ignore[misc]
    """A layer with weights that have shapes and values once they are set, and no gradient."""

    def __init__(self, shapes: Sequence[Sequence[int]], **settings: Any) -> None:
        super().__init__(**{**settings, "trainable": False})
        self.shapes = [list(shape) for shape in shapes]
        self.constants = [
            self.add_weight(shape=tuple(shape), initializer="zeros", trainable=False, name=f"constant_{number}")
            for number, shape in enumerate(self.shapes)
        ]

    @classmethod
    def of(cls, *values: np.ndarray[Any, Any]) -> Any:
        """The layer with these weights."""
        layer = cls([value.shape for value in values])
        layer.set_weights([np.asarray(value, dtype=np.float32) for value in values])
        return layer

    def get_config(self) -> dict[str, Any]:
        """See Keras."""
        return {**super().get_config(), "shapes": self.shapes}


@keras.saving.register_keras_serializable(package="ser")
class Views(keras.layers.Layer):  # type: ignore[misc]
    """`ser.acoustics.views.derive`, of float32 (batch, n_frames, n_columns)."""

    def call(self, frames: Any) -> Any:
        """See Keras."""
        return derive(frames, ops)


@keras.saving.register_keras_serializable(package="ser")
class Scale(_Computed):
    """`ser.experts.scaling.Scaling`."""

    @classmethod
    def by(cls, scaling: Scaling) -> Any:
        """The layer of a scaling."""
        return cls.of(scaling.mean, scaling.inverse_deviation)

    def call(self, rows: Any) -> Any:
        """See Keras."""
        mean, inverse = self.constants
        return ops.clip((rows - mean) * inverse, -CLIP, CLIP)


@keras.saving.register_keras_serializable(package="ser")
class Whiten(_Computed):
    """`ser.experts.gaussian_mixture.Whitening`."""

    @classmethod
    def by(cls, whitening: Whitening) -> Any:
        """The layer of a whitening."""
        return cls.of(whitening.mean, whitening.inverse_deviation, whitening.basis)

    def call(self, frames: Any) -> Any:
        """See Keras."""
        mean, inverse, basis = self.constants
        return ops.matmul((frames - mean) * inverse, basis)


@keras.saving.register_keras_serializable(package="ser")
class FisherVector(_Computed):
    """How an utterance would move a mixture: the improved Fisher vector (Perronnin et al., 2010), normalised by power.

    Takes whitened frames, float32 (batch, n_frames, n_dimensions), and which of them are speech, (batch, n_frames, 1),
    1 or 0; gives float32 (batch, 2 * n_components * n_dimensions), the gradients of means and of variances.
    """

    @classmethod
    def by(cls, mixture: GaussianMixture) -> Any:
        """The layer of a mixture."""
        linear, quadratic, constant = mixture.log_densities
        inverse_deviation, inverse_root = mixture.variances**-0.5, mixture.weights[:, None] ** -0.5
        return cls.of(linear, quadratic, constant, mixture.means, inverse_deviation, inverse_root)

    def call(self, frames: Any, speech: Any) -> Any:
        """See Keras."""
        linear, quadratic, constant, means, inverse_deviation, inverse_root = self.constants
        squares = ops.square(frames)
        share = ops.softmax(ops.matmul(frames, linear) + ops.matmul(squares, quadratic) + constant, axis=-1)
        share = share * (speech / ops.sum(speech, axis=1, keepdims=True))
        turned = ops.transpose(share, (0, 2, 1))
        count = ops.sum(turned, axis=2, keepdims=True)
        first, second = ops.matmul(turned, frames), ops.matmul(turned, squares)
        # Written so that each constant is used as it is: what a converter computes of constants, it stores as well.
        shift = first - count * means
        of_means = shift * inverse_deviation * inverse_root
        spread = (second - means * (first + shift)) * inverse_deviation * inverse_deviation
        of_variances = (spread - count) * inverse_root * np.float32(0.5**0.5)
        gradients = ops.concatenate([of_means, of_variances], axis=1)
        flat = ops.reshape(gradients, (-1, int(np.prod(means.shape)) * 2))
        return ops.sign(flat) * ops.sqrt(ops.abs(flat))
