"""Enrolment as a protocol has it: clips of the speaker that is judged, without their labels, before the judgement."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Literal

import numpy as np

from ser.features.feature_set import FeatureSet
from ser.features.frontend import FrontEnd
from ser.speakers.statistics import SpeakerAdaptation, SpeakerStatistics, known_speakers


def enrolled(
    adaptation: SpeakerAdaptation | None,
    test: FeatureSet,
    frontend: FrontEnd,
    clips: int | Literal["all"],
    *,
    seed: int,
) -> Sequence[SpeakerStatistics | None]:
    """What a model is told of who speaks each row of a test part: by its training, and by enrollment clips.

    Args:
        adaptation: Of the model; None of one that does not adapt.
        test: The test part.
        frontend: What made its features.
        clips: How many other recordings of the speaker in the test part are heard first, without their labels; fewer
            where there are no more. "all": every one, the judged one too, as where a whole session is at hand
            (transductive).
        seed: Of which recordings are heard, with the name of the judged one.

    Returns:
        An entry a row, or one for all rows.
    """
    known = known_speakers(adaptation, test.speakers)
    if adaptation is None or not clips:
        return known
    heard, start = [], 0
    for sample in test.samples:
        heard.append(frontend.statistics(test.rows[start : start + sample.pieces], clips=1))
        start += sample.pieces
    told: list[SpeakerStatistics | None] = []
    for number, sample in enumerate(test.samples):
        chosen = [place for place, other in enumerate(test.samples) if other.speaker == sample.speaker]
        if clips != "all":
            digest = hashlib.sha256(f"{seed}/{sample.name}".encode()).digest()
            order = np.random.default_rng(int.from_bytes(digest[:8], "little")).permutation(chosen)
            chosen = [int(place) for place in order if place != number][:clips]
        trained = known[len(told)]
        parts = [heard[place] for place in chosen] + ([trained] if trained else [])
        told += [reduce(add, parts) if parts else None] * sample.pieces
    return told
