"""Splits of files into training and validation: by file, decided by the seed, the same on every machine."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from enum import StrEnum

from ser.corpora import UNKNOWN
from ser.errors import CorpusError
from ser.feature_set import Sample

VALIDATION_SHARE = 0.1
"""Part of each emotion's files that is held out."""


class Protocol(StrEnum):
    """How the files are split for cross-validation."""

    LEAVE_ONE_SPEAKER_OUT = "leave-one-speaker-out"
    """A fold a speaker: what a voice that was never heard may expect."""
    K_FOLD = "k-fold"
    """Stratified by emotion; speakers are on both sides."""


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
        held_out += _shuffled(names, random_state)[: max(1, round(VALIDATION_SHARE * len(names)))]
    return tuple(sorted(held_out))


def folds(
    samples: Sequence[Sample], protocol: Protocol, *, count: int = 10, random_state: int = 42
) -> dict[str, tuple[str, ...]]:
    """The folds of a cross-validation: every file is held out in exactly one.

    Args:
        samples: All files.
        protocol: How they are split.
        count: How many folds; of k-fold only.
        random_state: The seed; of k-fold only.

    Returns:
        Name of each fold to the names of the files that it holds out, sorted.

    Raises:
        CorpusError: If there are fewer than two speakers, or one is unknown; or if an emotion has fewer files than
            there are folds.
    """
    found: dict[str, list[str]] = defaultdict(list)
    if protocol is Protocol.LEAVE_ONE_SPEAKER_OUT:
        unknown = [sample.name for sample in samples if sample.speaker == UNKNOWN]
        if unknown:
            raise CorpusError(
                f"expected to know who speaks, the speaker of {len(unknown)} of {len(samples)} files is unknown, as of "
                f"{unknown[0]}; a labels.csv with a column speaker can tell it"
            )
        for sample in samples:
            found[f"speaker {sample.speaker}"].append(sample.name)
        if len(found) < 2:
            raise CorpusError(f"expected at least two speakers, got {', '.join(found) or 'none'}")
    else:
        by_emotion: dict[str, list[str]] = defaultdict(list)
        for sample in samples:
            by_emotion[sample.emotion].append(sample.name)
        width, turn = len(str(count)), 0
        for emotion, names in sorted(by_emotion.items()):
            if len(names) < count:
                raise CorpusError(
                    f"expected at least {count} files of each emotion, a fold each, got {len(names)} of {emotion!r}"
                )
            for name in _shuffled(names, random_state):  # dealt like cards, so that folds differ by one file at most
                found[f"fold {turn % count + 1:0{width}d}"].append(name)
                turn += 1
    return {name: tuple(sorted(found[name])) for name in sorted(found)}


def _shuffled(names: Sequence[str], random_state: int) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(f"{random_state}/{name}".encode()).digest())
