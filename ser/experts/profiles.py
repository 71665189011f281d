"""The profile of who speaks each training row."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ser.features.training_set import TrainingSet
from ser.speakers.statistics import SpeakerAdaptation, SpeakerStatistics

Array = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

_KNOWN_CLIPS = (5, 10, 20)
"""How many clips the profile of a virtual speaker is of, or all of them: profiles in use are not exact either."""


@dataclass(frozen=True)
class Profiles:
    """Each profile once, however many rows have it."""

    each: Array
    """float32, shape (n_profiles, n_columns)."""
    of_row: Numbers
    """int64, shape (n_rows,): the number of each row's profile."""

    def __getitem__(self, numbers: Numbers) -> Array:
        """The profiles of some rows: float32, shape (len(numbers), n_columns)."""
        profiles: Array = self.each[self.of_row[numbers]]
        return profiles

    @classmethod
    def of(cls, training: TrainingSet, adaptation: SpeakerAdaptation, random: np.random.Generator) -> Profiles:
        """Of all the speaker's clips; for virtual speakers, now and then of a few."""
        count = len(training.rows) // training.rows.copies
        each: list[Array] = []
        of_row = np.empty(len(training.rows), dtype=np.int64)
        for speaker, clips in _clips_by_speaker(training).items():
            rows = np.concatenate(clips)
            of_row[rows] = len(each)
            each.append(adaptation.profile(adaptation.known[speaker]))
            for copy in range(1, training.rows.copies):
                known = min(int(random.choice([*_KNOWN_CLIPS, len(clips)])), len(clips))
                chosen = [clips[number] for number in random.permutation(len(clips))[:known]]
                of_row[rows + copy * count] = len(each)
                each.append(adaptation.profile(_sum_up(training, chosen, copy)))
        return cls(np.stack(each), of_row)


def clip_statistics(training: TrainingSet) -> Iterator[tuple[str, SpeakerStatistics]]:
    """Who speaks each clip, and its statistics."""
    for speaker, clips in _clips_by_speaker(training).items():
        for rows in clips:
            yield speaker, _sum_up(training, [rows], copy=0)


def _clips_by_speaker(training: TrainingSet) -> dict[str, list[Numbers]]:
    """Of each speaker, the rows of each clip."""
    clips: dict[str, list[Numbers]] = {}
    start = 0
    for sample in training.samples:
        clips.setdefault(sample.speaker, []).append(np.arange(start, start + sample.pieces))
        start += sample.pieces
    return clips


def _sum_up(training: TrainingSet, clips: list[Numbers], copy: int) -> SpeakerStatistics:
    offset = copy * (len(training.rows) // training.rows.copies)
    parts = (training.frontend.statistics(training.rows[rows + offset], clips=1) for rows in clips)
    return functools.reduce(operator.add, parts)
