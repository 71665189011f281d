"""How long work tells how far it is: one event type, and a reporter that takes it.

Library functions take a `Reporter` and know nothing of terminals; the command line draws bars or lines from
the events, a server streams them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Progress:
    """One moment of one stage."""

    stage: str
    """What is being done, as "download", "extract", "prepare", "features", "train", "evaluate"."""
    done: int
    """How much is done, in `unit`; equal to `total` once the stage is over."""
    total: int | None
    """How much there is to do, or None while nobody knows."""
    unit: str
    """"bytes", "files", "clips" or "epochs"."""
    values: Mapping[str, float] = field(default_factory=dict)
    """Figures of this moment, as the loss and accuracy of an epoch."""


Reporter = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """The reporter that tells nobody."""
