"""The split of files into training and validation: by file, stratified by emotion, decided by the seed."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from ser.errors import CorpusError
from ser.feature_set import Sample

VALIDATION_SHARE = 0.1
"""Part of each emotion's files that is held out."""


def validation_names(samples: Sequence[Sample], random_state: int) -> tuple[str, ...]:
    """The names of the held-out files, sorted.

    Of each emotion a tenth is held out, rounded, at least one. Which ones, a hash of seed and name decides:
    the same files on every machine and with every library version, in whatever order the corpus is listed.

    Args:
        samples: All files.
        random_state: The seed.

    Raises:
        CorpusError: If there are fewer than two emotions, or one has a single file: it could not be both
            learnt and tested.
    """
    by_emotion: dict[str, list[str]] = defaultdict(list)
    for sample in samples:
        by_emotion[sample.emotion].append(sample.name)
    if len(by_emotion) < 2:
        raise CorpusError(f"expected at least two emotions, got {', '.join(by_emotion) or 'none'}")
    held_out: list[str] = []
    for emotion, names in by_emotion.items():
        if len(names) < 2:
            raise CorpusError(
                f"expected at least two files of each emotion, got one of {emotion!r} ({names[0]}): "
                "it cannot be both learnt and tested"
            )
        ranked = sorted(names, key=lambda name: hashlib.sha256(f"{random_state}/{name}".encode()).digest())
        held_out += ranked[: max(1, round(VALIDATION_SHARE * len(names)))]
    return tuple(sorted(held_out))
