"""Enrolment as a protocol has it: clips are heard without their labels before a recording is judged."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np

from ser.features.feature_set import FeatureSet
from ser.features.frontend import FrontEnd
from ser.request import EnrollmentOf
from ser.speakers.statistics import SpeakerAdaptation, SpeakerStatistics, known_speakers, together


def enrolled(
    adaptation: SpeakerAdaptation | None,
    test: FeatureSet,
    frontend: FrontEnd,
    clips: int | Literal["all"],
    *,
    of: EnrollmentOf = "speaker",
    seed: int,
) -> Sequence[SpeakerStatistics | None]:
    """What a model is told of who speaks each row of a test part: by its training, and by enrollment clips.

    Args:
        adaptation: Of the model; None of one that does not adapt.
        test: The test part.
        frontend: What made its features.
        clips: How many other recordings of the test part are heard first, without their labels; fewer where there are
            no more. "all": every one, the judged one too, as where a whole session is at hand (transductive).
        of: Whose they are: the speaker's, or anybody's of the same corpus.
        seed: Of which recordings are heard, with the name of the judged one.

    Returns:
        An entry a row, or one for all rows.
    """
    known = known_speakers(adaptation, test.speakers)
    if adaptation is None or not clips:
        return known
    together_of = [sample.speaker if of == "speaker" else sample.corpus for sample in test.samples]
    members: dict[str, list[int]] = {}
    for number, one in enumerate(together_of):
        members.setdefault(one, []).append(number)
    starts = test.starts

    def hear(numbers: Sequence[int]) -> SpeakerStatistics | None:
        heard: SpeakerStatistics | None = None
        for number in numbers:
            rows = test.rows[starts[number] : starts[number] + test.samples[number].pieces]
            heard = together(frontend.statistics(rows, clips=1), heard)
        return heard

    # What all are told is heard once.
    of_all = {one: hear(numbers) for one, numbers in members.items()} if clips == "all" else {}
    told: list[SpeakerStatistics | None] = []
    for number, sample in enumerate(test.samples):
        one = together_of[number]
        heard = of_all[one] if clips == "all" else hear(_drawn(members[one], number, clips, sample.name, seed))
        trained = known[len(told)]
        told += [together(heard, trained)] * sample.pieces
    return told


def enrolment_told(clips: int | Literal["all"], of: EnrollmentOf) -> str:
    """Which clips are heard first, as a sentence; empty where none are.

    Args:
        clips: As of `enrolled`.
        of: As of `enrolled`.
    """
    if not clips:
        return ""
    whose = f"of its {of} that the fold judges"
    if clips == "all":
        return f"Before a recording is judged, all recordings {whose} are heard without their labels, itself too."
    others = "1 other recording" if clips == 1 else f"{clips} other recordings"
    return f"Before a recording is judged, {others} {whose} (or as many as there are) are heard without their labels."


def _drawn(members: Sequence[int], judged: int, clips: int, name: str, seed: int) -> list[int]:
    """So many of the members but the judged one, by seed and name."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    order = np.random.default_rng(int.from_bytes(digest[:8], "little")).permutation(members)
    return [int(place) for place in order if place != judged][:clips]
