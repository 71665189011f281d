from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from ser.errors import CorpusError
from ser.feature_set import Sample
from ser.split import Protocol, folds, validation_names

COUNTS = {
    "anger": 127,
    "boredom": 81,
    "neutral": 79,
    "happiness": 71,
    "fear": 69,
    "sadness": 62,
    "disgust": 46,
}


def samples(counts: dict[str, int]) -> list[Sample]:
    return [
        Sample(f"{emotion}{number}.wav", "s", "female", "t", emotion, 1.0, 1)
        for emotion, count in counts.items()
        for number in range(count)
    ]


def test_a_tenth_of_each_emotion_is_held_out() -> None:
    held_out = Counter(name.rstrip("0123456789.wav") for name in validation_names(samples(COUNTS), 42))
    assert len(validation_names(samples(COUNTS), 42)) == 54
    for emotion, count in COUNTS.items():
        found = sum(number for prefix, number in held_out.items() if emotion.startswith(prefix))
        assert found == round(count / 10)


def test_the_seed_decides_and_the_order_of_the_files_does_not() -> None:
    corpus = samples(COUNTS)
    assert validation_names(corpus, 42) == validation_names(corpus[::-1], 42)
    assert validation_names(corpus, 42) != validation_names(corpus, 43)


def test_the_split_is_the_same_on_every_machine() -> None:
    assert validation_names(samples({"a": 12, "b": 12}), 0) == ("a11.wav", "b2.wav")


def test_a_small_class_still_has_a_file_on_each_side() -> None:
    held_out = validation_names(samples({"a": 2, "b": 3}), 0)
    assert Counter(name[0] for name in held_out) == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"a": 5, "b": 1}, r"two files of each emotion, got one of 'b' \(b0\.wav\)"),
        ({"a": 5}, "two emotions, got a"),
        ({}, "two emotions, got none"),
    ],
)
def test_what_cannot_be_split_is_refused(counts: dict[str, int], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        validation_names(samples(counts), 0)


def test_no_speaker_is_left_out_where_speakers_are_unknown() -> None:
    corpus = [replace(sample, speaker=speaker) for sample in samples({"a": 2, "b": 2}) for speaker in ("x", "unknown")]
    with pytest.raises(CorpusError, match="the speaker of 4 of 8 files is unknown, as of a0.wav; a labels.csv"):
        folds(corpus, Protocol.LEAVE_ONE_SPEAKER_OUT)
