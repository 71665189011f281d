"""Three views of the same frames: cepstral, spectral, prosodic, with how each changes over time.

Written once over an array library: NumPy where statistics are summed, Keras where a network is built.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

N_BANDS, N_SHAPE, N_CEPSTRAL = 32, 13, 20
"""Of a frame: mel bands; channels of shape, energy and harmonicity; cepstral coefficients derived."""
_PITCH, _FROM_MEDIAN, _VOICED, _SPEECH = (N_BANDS + N_SHAPE + number for number in range(4))
_PROSODIC = (0, 2, 4, 5, 6, 7, 8, 9, 11)
"""Of the shape: centroid, median and 90 % roll-off, flux, three slopes, energy, flatness."""
_CONTEXT = 2
"""Frames of 20 ms that the prosodic view looks back and ahead."""

_WIDTHS = {"cepstral": 2 * N_CEPSTRAL + N_SHAPE + 2, "spectral": 2 * N_BANDS, "prosodic": 4 * (len(_PROSODIC) + 2)}
_STARTS = np.cumsum([0, *_WIDTHS.values()]).tolist()
VIEWS = MappingProxyType(
    {name: slice(start, start + width) for (name, width), start in zip(_WIDTHS.items(), _STARTS, strict=False)}
)
"""Name of each view to its columns of what `derive` gives."""
NUM_DERIVED = sum(_WIDTHS.values())
"""Columns of what `derive` gives."""


def cosines() -> npt.NDArray[np.float32]:
    """The orthonormal DCT-II from mel bands to cepstrum: float32, shape (N_BANDS, N_CEPSTRAL)."""
    band, coefficient = np.arange(N_BANDS)[:, None] + 0.5, np.arange(N_CEPSTRAL)
    basis = np.cos(np.pi / N_BANDS * band * coefficient) * np.sqrt(2 / N_BANDS)
    basis[:, 0] /= np.sqrt(2)
    return np.asarray(basis, dtype=np.float32)


def derive(frames: Any, xp: Any = np) -> Any:
    """All views of frames, side by side; `VIEWS` tells which columns are whose.

    Args:
        frames: float32, shape (n, n_frames, n_columns), as `SpeechFrames` gives them.
        xp: `numpy`, or `keras.ops` for a network's tensor.

    Returns:
        float32, shape (n, n_frames, NUM_DERIVED).
    """
    bands = frames[..., :N_BANDS]
    shape = frames[..., N_BANDS : N_BANDS + N_SHAPE]
    cepstrum = xp.matmul(bands, cosines())
    loudest = xp.max(xp.max(bands, axis=-1, keepdims=True), axis=-2, keepdims=True)
    level = bands - loudest
    chosen = [shape[..., number : number + 1] for number in _PROSODIC]
    pitch, from_median, voiced = (frames[..., at : at + 1] for at in (_PITCH, _FROM_MEDIAN, _VOICED))
    prosody = xp.concatenate([*chosen, pitch, voiced], axis=-1)
    return xp.concatenate(
        [
            *(cepstrum, _slope(cepstrum, xp), shape, voiced, from_median),
            *(level, _slope(level, xp)),
            *(prosody, _slope(prosody, xp), _shifted(prosody, _CONTEXT, xp), _shifted(prosody, -_CONTEXT, xp)),
        ],
        axis=-1,
    )


def _slope(channels: Any, xp: Any) -> Any:
    """Half of what changes from the frame before to the frame after."""
    return (_shifted(channels, 1, xp) - _shifted(channels, -1, xp)) * np.float32(0.5)


def _shifted(channels: Any, by: int, xp: Any) -> Any:
    """Each frame's neighbour `by` frames later; at the ends, the last and the first repeated."""
    if by > 0:
        return xp.concatenate([channels[..., by:, :], *[channels[..., -1:, :]] * by], axis=-2)
    return xp.concatenate([*[channels[..., :1, :]] * -by, channels[..., :by, :]], axis=-2)
