"""How much of a training each stage is."""

from collections.abc import Mapping
from types import MappingProxyType

WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "download": 5,
        "synthesise": 10,
        "extract": 2,
        "prepare": 3,
        "features": 10,
        "train": 65,
        "evaluate": 5,
    }
)
"""What each stage usually takes of the whole, in percent."""
