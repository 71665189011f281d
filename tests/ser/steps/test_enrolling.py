"""Which clips a protocol lets a model hear before it judges one."""

from __future__ import annotations

import numpy as np
import pytest

from ser.features import EXTRACTORS
from ser.features.feature_set import FeatureSet, Sample
from ser.features.frontend import FrontEnd
from ser.request import EnrollmentOf
from ser.speakers.statistics import SpeakerAdaptation
from ser.steps.enrolling import enrolled, enrolment_told

METHOD = EXTRACTORS.get("Functionals")
FRONTEND = FrontEnd(4_000, normalize=True, extractors={"Functionals": METHOD.create(METHOD.Config(), [])})
SPEAKERS = ("a", "b", "a", "a", "b", "c", "a")
CORPORA = ("x", "y", "y", "x", "y", "y", "y")
PIECES = (1, 1, 2, 1, 1, 1, 1)


def _test_part() -> FeatureSet:
    """Rows of powers of two, so that a sum of them tells which they were; the third clip has two pieces."""
    samples = tuple(
        Sample(f"{number}.wav", speaker, "", "", "joy", 1.0, pieces, corpus)
        for number, (speaker, pieces, corpus) in enumerate(zip(SPEAKERS, PIECES, CORPORA, strict=True))
    )
    rows = np.tile(2.0 ** np.arange(sum(PIECES))[:, None], (1, FRONTEND.num_features)).astype(np.float32)
    return FeatureSet(rows, samples)


TEST = _test_part()
OF_CLIP = (1, 2, 4 + 8, 16, 32, 64, 128)
"""What each clip adds to a sum."""
STRANGER = FRONTEND.statistics(np.full((1, FRONTEND.num_features), 0.5, dtype=np.float32), clips=1)
ADAPTATION = SpeakerAdaptation.fit([("somebody", STRANGER)])


def heard(
    clips: object, adaptation: SpeakerAdaptation = ADAPTATION, seed: int = 1, of: EnrollmentOf = "speaker"
) -> list[tuple[set[int], int]]:
    """Of each row, the numbers of the clips that were heard, and how many the statistics say."""
    told = enrolled(adaptation, TEST, FRONTEND, clips, of=of, seed=seed)  # type: ignore[arg-type]
    assert len(told) == sum(PIECES)
    return [
        ({n for n, bits in enumerate(OF_CLIP) if one and int(one.total[0]) & bits}, one.clips if one else 0)
        for one in told
    ]


ROWS = [number for number, pieces in enumerate(PIECES) for _ in range(pieces)]
"""Of each row, the clip."""


def alike(number: int, of: EnrollmentOf) -> set[int]:
    """The clips of the same speaker, or of the same corpus."""
    values = {"speaker": SPEAKERS, "corpus": CORPORA}[of]
    return {place for place, value in enumerate(values) if value == values[number]}


of_either = pytest.mark.parametrize("of", ["speaker", "corpus"])


@of_either
def test_all_are_the_speaker_s_or_the_corpus_s_own_with_the_judged_one(of: EnrollmentOf) -> None:
    for (clips, count), number in zip(heard("all", of=of), ROWS, strict=True):
        assert clips == alike(number, of)
        assert count == len(clips)


@of_either
@pytest.mark.parametrize("asked", [1, 2, 3, 100])
def test_some_are_others_of_the_same_speaker_or_corpus_as_many_as_there_are(asked: int, of: EnrollmentOf) -> None:
    for (clips, count), number in zip(heard(asked, of=of), ROWS, strict=True):
        others = alike(number, of) - {number}
        assert clips <= others
        assert count == len(clips) == min(asked, len(others))


@pytest.mark.parametrize(
    ("clips", "of", "told"),
    [
        (0, "speaker", ""),
        (1, "corpus", "1 other recording of its corpus that the fold judges (or as many as there are) are"),
        (12, "speaker", "12 other recordings of its speaker that the fold judges (or as many as there are) are"),
        ("all", "corpus", "all recordings of its corpus that the fold judges are"),
    ],
)
def test_what_is_heard_is_told(clips: int, of: EnrollmentOf, told: str) -> None:
    sentence = enrolment_told(clips, of)
    assert (
        sentence.startswith(f"Before a recording is judged, {told} heard without their labels")
        if told
        else not sentence
    )
    assert sentence.endswith("itself too.") is (clips == "all")


def test_none_are_heard_where_none_is_asked_for() -> None:
    assert heard(0) == [(set(), 0)] * sum(PIECES)
    assert enrolled(None, TEST, FRONTEND, 3, seed=1) == (None,)


def test_which_are_heard_follows_the_seed() -> None:
    assert heard(1, seed=1) == heard(1, seed=1)
    assert len({str(heard(1, seed=seed)) for seed in range(8)}) > 1


def test_what_the_training_knows_is_added() -> None:
    trained = SpeakerAdaptation.fit([("b", STRANGER)])
    assert [count for _, count in heard(0, trained)] == [int(SPEAKERS[number] == "b") for number in ROWS]
    told = enrolled(trained, TEST, FRONTEND, 1, seed=1)
    assert [one.total[0] for one, number in zip(told, ROWS, strict=True) if one and number in (1, 4)] == [32.5, 2.5]
