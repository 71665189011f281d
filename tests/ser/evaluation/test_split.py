from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from ser.errors import CorpusError
from ser.evaluation.split import Fold, Protocol, folds, validation_names
from ser.features.feature_set import Sample

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


GRID = [
    Sample(f"{speaker}{text}{emotion}.wav", speaker, "female", text, emotion, 1.0, 2)
    for speaker in ("s1", "s2", "s3")
    for text in ("t1", "t2")
    for emotion in ("anger", "sadness")
]
"""Three speakers, each of whom says two texts with two emotions."""


OF_TWO_CORPORA = [replace(sample, corpus="AB"[sample.speaker == "s3"]) for sample in GRID]


def test_a_corpus_is_left_out() -> None:
    found = folds(OF_TWO_CORPORA, Protocol.LOCO)
    assert [fold.name for fold in found] == ["corpus A", "corpus B"]
    assert {sample_of(name).speaker for name in found[0].test} == {"s1", "s2"}
    assert {sample_of(name).speaker for name in found[0].training} == {"s3"}


def sample_of(name: str) -> Sample:
    return next(sample for sample in GRID if sample.name == name)


@pytest.mark.parametrize("protocol", list(Protocol))
def test_no_recording_is_on_both_sides_and_none_is_tested_twice(protocol: Protocol) -> None:
    corpus = OF_TWO_CORPORA if protocol is Protocol.LOCO else GRID
    found = folds(corpus, protocol, count=3, random_state=1)
    tested = [name for fold in found for name in fold.test]
    assert len(tested) == len(set(tested))
    if protocol is not Protocol.HOLDOUT:
        assert set(tested) == {sample.name for sample in corpus}
    for fold in found:
        assert fold.test
        assert not set(fold.test) & set(fold.training)
        assert list(fold.test) == sorted(fold.test)
        assert list(fold.training) == sorted(fold.training)
    assert found == folds(corpus[::-1], protocol, count=3, random_state=1)
    assert [fold.name for fold in found] == sorted({fold.name for fold in found})


@pytest.mark.parametrize(("protocol", "trait", "count"), [(Protocol.LOSO, "speaker", 3), (Protocol.LOTO, "text", 2)])
def test_what_is_left_out_is_on_the_test_side_alone(protocol: Protocol, trait: str, count: int) -> None:
    found = folds(GRID, protocol)
    assert len(found) == count
    for fold in found:
        (left_out,) = {getattr(sample_of(name), trait) for name in fold.test}
        assert fold.name == f"{trait} {left_out}"
        assert left_out not in {getattr(sample_of(name), trait) for name in fold.training}
        assert len(fold.test) + len(fold.training) == len(GRID)


def test_speaker_and_text_are_left_out_at_once() -> None:
    found = folds(GRID, Protocol.LOLO)
    assert [fold.name for fold in found][:2] == ["speaker s1, text t1", "speaker s1, text t2"]
    assert len(found) == 6
    assert found[0] == Fold(
        "speaker s1, text t1",
        ("s2t2anger.wav", "s2t2sadness.wav", "s3t2anger.wav", "s3t2sadness.wav"),
        ("s1t1anger.wav", "s1t1sadness.wav"),
    )


def test_holdout_is_the_split_of_a_training() -> None:
    (fold,) = folds(samples(COUNTS), Protocol.HOLDOUT, random_state=7)
    assert fold.test == validation_names(samples(COUNTS), 7)
    assert len(fold.training) + len(fold.test) == sum(COUNTS.values())


def only(**traits: str) -> list[Sample]:
    return [sample for sample in GRID if all(getattr(sample, trait) == value for trait, value in traits.items())]


NAMELESS = [*GRID, replace(GRID[0], name="x.wav", speaker="")]
ONE_SIDED = [*GRID, replace(GRID[0], name="x.wav", emotion="fear")]


@pytest.mark.parametrize(
    ("corpus", "protocol", "message"),
    [
        (only(speaker="s1"), Protocol.LOSO, "at least two values of speaker, got s1 alone"),
        (only(text="t1"), Protocol.LOTO, "at least two values of text, got t1 alone"),
        (only(text="t1"), Protocol.LOLO, "at least two values of text, got t1 alone"),
        (only(speaker="s1"), Protocol.LOLO, "at least two values of speaker, got s1 alone"),
        (GRID, Protocol.LOCO, "corpus of every recording, it is not known of 12 of 12, as s1t1anger.wav"),
        (NAMELESS, Protocol.LOSO, "speaker of every recording, it is not known of 1 of"),
        (ONE_SIDED, Protocol.LOSO, "speaker s1: expected .*every emotion to learn from, .*there are none of fear"),
        (ONE_SIDED, Protocol.LOLO, "speaker s1, text t1: .*there are none of fear"),
        (only(emotion="anger"), Protocol.LOSO, "two emotions, got anger"),
        (GRID, Protocol.KFOLD, "at least 10 files of each emotion, a fold each, got 6 of 'anger'"),
        ([], Protocol.LOSO, "two emotions, got none"),
    ],
)
def test_a_protocol_that_cannot_be_had_is_told(corpus: list[Sample], protocol: Protocol, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        folds(corpus, protocol)


def test_no_speaker_is_left_out_where_speakers_are_unknown() -> None:
    corpus = [replace(sample, speaker=speaker) for sample in samples({"a": 2, "b": 2}) for speaker in ("x", "unknown")]
    with pytest.raises(CorpusError, match="not known of 4 of 8, as a0.wav; a labels.csv with a column speaker"):
        folds(corpus, Protocol.LOSO)
