"""A mixture of Gaussians over whitened frames: what a Fisher vector measures an utterance against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

_ASSIGNMENTS, _ITERATIONS = 8, 20
_SMALLEST_VARIANCE = 1e-2
_EIGENVALUE_FLOOR = 1e-3


@dataclass(frozen=True)
class Whitening:
    """Frames to decorrelated coordinates of variance 1, those of most variance first (principal components)."""

    mean: Array
    """float32, shape (n_channels,)."""
    inverse_deviation: Array
    """float32, shape (n_channels,): channels are of one size before they are mixed, for networks of eight bits too."""
    basis: Array
    """float32, shape (n_channels, n_dimensions)."""

    @classmethod
    def fit(cls, frames: Array, n_dimensions: int) -> Self:
        """Fits on frames, each channel of which counts the same whatever its unit.

        Args:
            frames: float32, shape (n, n_channels).
            n_dimensions: How many components are kept, at most n_channels.
        """
        mean = np.asarray(frames.mean(axis=0, dtype=np.float64), dtype=np.float32)
        centred = frames - mean
        deviation: Array = np.sqrt(np.square(centred).mean(axis=0)) + np.float32(1e-6)
        centred /= deviation
        values, vectors = np.linalg.eigh((centred.T @ centred / len(frames)).astype(np.float64))
        order = np.argsort(values)[::-1][:n_dimensions]
        basis = vectors[:, order] / np.sqrt(np.maximum(values[order], 0) + _EIGENVALUE_FLOOR)
        return cls(mean, np.reciprocal(deviation), basis.astype(np.float32))

    def __call__(self, frames: Array) -> Array:
        """Float32, shape (n, n_dimensions)."""
        return np.asarray((frames - self.mean) * self.inverse_deviation @ self.basis, dtype=np.float32)


@dataclass(frozen=True)
class GaussianMixture:
    """Gaussians with diagonal covariances."""

    weights: Array
    """float32, shape (n_components,), sums to 1."""
    means: Array
    """float32, shape (n_components, n_dimensions)."""
    variances: Array
    """float32, shape (n_components, n_dimensions)."""

    @classmethod
    def fit(cls, frames: Array, n_components: int, random: np.random.Generator) -> Self:
        """Expectation-maximisation (Dempster et al., 1977) from a few rounds of k-means.

        Args:
            frames: float32, shape (n, n_dimensions), whitened; n >= n_components.
            n_components: How many Gaussians.
            random: Picks the frames that k-means starts from.
        """
        means = frames[random.choice(len(frames), n_components, replace=False)]
        for _ in range(_ASSIGNMENTS):
            nearest = (frames @ means.T - np.square(means).sum(axis=1) / 2).argmax(axis=1)
            members = np.eye(n_components, dtype=np.float32)[nearest]
            count = members.sum(axis=0)[:, None]
            moved: Array = members.T @ frames / np.maximum(count, np.float32(1))
            means = np.asarray(np.where(count > 0, moved, means), dtype=np.float32)
        mixture = cls._from_sums(members, frames)
        for _ in range(_ITERATIONS):
            mixture = cls._from_sums(mixture.responsibilities(frames), frames)
        return mixture

    @classmethod
    def _from_sums(cls, shares: Array, frames: Array) -> Self:
        count = shares.sum(axis=0) + np.float32(1e-3)
        means = shares.T @ frames / count[:, None]
        variances = shares.T @ np.square(frames) / count[:, None] - np.square(means)
        return cls(count / count.sum(), means, np.maximum(variances, np.float32(_SMALLEST_VARIANCE)))

    def responsibilities(self, frames: Array) -> Array:
        """How much of each frame is each Gaussian's: float32, shape (n, n_components), rows sum to 1."""
        linear, quadratic, constant = self.log_densities
        logarithm = frames @ linear + np.square(frames) @ quadratic + constant
        logarithm -= logarithm.max(axis=1, keepdims=True)
        shares = np.exp(logarithm)
        return np.asarray(shares / shares.sum(axis=1, keepdims=True), dtype=np.float32)

    @property
    def log_densities(self) -> tuple[Array, Array, Array]:
        """What frames, their squares and 1 are multiplied with for the logarithm of the weighted densities.

        Returns:
            float32, shapes (n_dimensions, n_components) twice, and (n_components,); up to a constant of all Gaussians.
        """
        precision: Array = np.reciprocal(self.variances)
        spread: Array = (np.square(self.means) * precision + np.log(self.variances)).sum(axis=1)
        half = np.float32(0.5)
        return (self.means * precision).T, -half * precision.T, np.log(self.weights) - half * spread
