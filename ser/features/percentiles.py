"""Percentiles of many channels at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

_APART = 16
"""Columns between one frame and the next while channels are gathered. Where a frame is a multiple of 2 kB long, as an
encoder's are, the values of a channel all fall into the same few lines of the processor's cache: with a cache line more
between them, gathering takes less than a third of the time."""


def percentiles(frames: Array, wanted: Sequence[float]) -> Array:
    """As `numpy.percentile` has them over frames, in a fraction of the time: sorted once, along contiguous memory.

    Args:
        frames: float32, shape (n, n_channels), n > 0.
        wanted: Which, from 0 to 100.

    Returns:
        float32, shape (len(wanted), n_channels).
    """
    count, width = frames.shape
    apart = np.empty((count, width + _APART), dtype=np.float32)
    apart[:, :width] = frames
    channels = np.ascontiguousarray(apart[:, :width].T)
    channels.sort(axis=1)
    places = np.asarray(wanted) / 100 * (count - 1)
    below = places.astype(np.int64)
    share = (places - below).astype(np.float32)
    above = np.minimum(below + 1, count - 1)
    interpolated: Array = channels[:, below] * (1 - share) + channels[:, above] * share
    return interpolated.T
